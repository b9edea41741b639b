"""ExecuTorch on the CPU, with XNNPACK: `.pte` files, whose shapes are fixed, each with a `.json` of names beside it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from perf.errors import PerfError, one_line
from perf.providers import Provider
from perf.sessions.inputs import DeclaredInput, DeclaredPorts
from perf.sessions.peer_file import check_peer_file, read_conversion
from perf.sessions.session import Placement

try:
    # Its Python binding uses torch's tensors, so torch is part of the process's memory.
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime
except ImportError as error:
    raise PerfError("executorch is not installed here; pip install executorch") from error

METHOD = "forward"

LONG = 4
"""ExecuTorch's code of the type int64."""

_threads: set[int] = set()


class ExecuTorchSession(DeclaredPorts):
    """A loaded method, with the methods of onnxruntime's session."""

    def __init__(self, method: Any, conversion: Mapping[str, Any]) -> None:
        self.method, self.conversion = method, conversion
        meta = method.metadata
        infos = [meta.input_tensor_meta(index) for index in range(meta.num_inputs())]
        inputs = [
            DeclaredInput(name, "tensor(int64)" if info.dtype() == LONG else str(info.dtype()), tuple(info.sizes()))
            for name, info in zip(conversion["inputs"], infos, strict=True)
        ]
        found = [meta.output_tensor_meta(index) for index in range(meta.num_outputs())]
        outputs = [
            DeclaredInput(name, "tensor(float)", tuple(info.sizes()))
            for name, info in zip(conversion["outputs"], found, strict=True)
        ]
        super().__init__(inputs, outputs)

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        values = self.method.execute([torch.from_numpy(feed[item.name]) for item in self._inputs])
        return [value.numpy() for value in values]


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> ExecuTorchSession:
    """Loads a file, with the process's only thread pool, of `threads` threads: loaded models point to it.

    Raises:
        PerfUsageError: a provider other than the CPU.
        PerfError: no such file, one that ExecuTorch does not load, or the process already has a pool of another size.
    """
    check_peer_file(path, provider, "ExecuTorch")
    conversion = read_conversion(path)
    if _threads - {threads}:
        raise PerfError(
            f"ExecuTorch has a pool of {min(_threads)} threads in this process, which cannot become {threads}: "
            "run each in a process of its own"
        )
    try:
        if not _threads:
            portable_lib._unsafe_reset_threadpool(threads)
            _threads.add(threads)
        return ExecuTorchSession(Runtime.get().load_program(path).load_method(METHOD), conversion)
    except Exception as error:  # it raises several classes
        raise PerfError(f"ExecuTorch {_version()} cannot load {path}: {one_line(error)}") from None


def placement(session: ExecuTorchSession) -> Placement:
    """Returns the lowered operators: those of XNNPACK, and those of ExecuTorch's own kernels."""
    conversion = session.conversion
    operators = {where: dict(conversion[where]) for where in ("XNNPACK", "ExecuTorch") if conversion[where]}
    return Placement(operators, {"XNNPACK": conversion["partitions"]})


def describe(session: ExecuTorchSession) -> str:
    """Returns the version, and whether XNNPACK is used."""
    return f"ExecuTorch {_version()} ({'XNNPACK' if session.conversion['partitions'] else 'without XNNPACK'})"


def _version() -> str:
    return metadata.version("executorch")
