"""What there is to say of an execution provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Needs:
    """What a provider wants of a model, to take all of it.

    Args:
        target: Of `mbert-onnx export`, the one that is made for it.
        fixed_shapes: Whether every size must be written in the model.
        inputs: The type of the token ids.
        precisions: Of those that `export` has, what it computes.
    """

    target: str = "cpu"
    fixed_shapes: bool = False
    inputs: str = "int64"
    precisions: tuple[str, ...] = ("fp32", "int8")

    @property
    def command(self) -> str:
        """The options of `mbert-onnx export` that make such a model."""
        return f"--target {self.target}" + (" --seq-len N" if self.fixed_shapes else "")


@dataclass(frozen=True)
class Provider:
    """One execution provider.

    Args:
        name: What it is called on a command line.
        ort_name: What onnxruntime calls it.
        runs_on: What computes.
        package: What brings it.
        how: A sentence on how to get it.
        needs: Of a model.
        options: That it is opened with.
        plugin: The module that brings it to any onnxruntime, where it is a plugin.
        environment: The packages of an environment of its own, where what brings it clashes with plain onnxruntime.
        imitates: What stands in for the device on this machine, so that times say nothing of it; empty for the device.
        kernels: Whether our native kernels compute a model's blocks; their library is named by who times it.
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
