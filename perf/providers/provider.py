"""Description of an execution provider: its names, its package, and what it requires of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Needs:
    """Requirements of a provider for a model of which it runs all nodes.

    Args:
        target: The target of `mbert-onnx export` for this provider.
        fixed_shapes: Whether all dimensions must be fixed.
        inputs: The element type of the token ids.
        precisions: The precisions of `export` that it computes.
    """

    target: str = "cpu"
    fixed_shapes: bool = False
    inputs: str = "int64"
    precisions: tuple[str, ...] = ("fp32", "int8")

    @property
    def command(self) -> str:
        """The options of `mbert-onnx export` for such a model."""
        return f"--target {self.target}" + (" --seq-len N" if self.fixed_shapes else "")


@dataclass(frozen=True)
class Provider:
    """One execution provider.

    Args:
        name: Its name on the command line.
        ort_name: Its name in onnxruntime.
        runs_on: The hardware that computes.
        package: The package that contains it.
        how: A sentence on how to get it.
        needs: What it requires of a model.
        options: The provider options of its sessions.
        plugin: The module of its plugin for any onnxruntime; None where it is not a plugin.
        environment: The packages of an environment of its own, where its package clashes with plain onnxruntime.
        imitates: The simulator that stands in for the device on this machine, whose times are not the device's; empty
            for the device itself.
        kernels: Whether our native kernels compute a model's blocks; a subject's `library` names their file.
    """

    name: str
    ort_name: str
    runs_on: str
    package: str
    how: str
    needs: Needs = Needs()
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    plugin: str | None = None
    environment: tuple[str, ...] = ()
    imitates: str = ""
    kernels: bool = False
