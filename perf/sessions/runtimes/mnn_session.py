"""MNN on the CPU: `.mnn` files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from perf.errors import PerfError, one_line
from perf.providers import Provider
from perf.sessions.inputs import DeclaredInput
from perf.sessions.peer_file import check_peer_file
from perf.sessions.session import Placement

try:
    import MNN
except ImportError as error:
    raise PerfError("MNN is not installed here; pip install MNN") from error

PRECISION = "high"
"""Floats of 32 bits everywhere. `normal` and `low` may be half floats where a CPU has them."""

NO_WORK = ("Const", "Input", "Trainable")
"""Nodes of a file which are no operators."""


class MnnSession:
    """A module, with the methods of onnxruntime's session. Inputs are 32-bit integers."""

    def __init__(self, path: Path, module: Any) -> None:
        self.path, self.module = path, module
        info = module.get_info()
        self._inputs = [
            DeclaredInput(name, "tensor(int32)", tuple(item.shape))
            for name, item in zip(info["inputNames"], info["inputs"], strict=True)
        ]
        self._outputs = [DeclaredInput(name, "tensor(float)", ()) for name in info["outputNames"]]

    def get_inputs(self) -> list[DeclaredInput]:
        return self._inputs

    def get_outputs(self) -> list[DeclaredInput]:
        return self._outputs

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        order = MNN.expr.NCHW  # of any dimensions: plainly one after the other
        given = [MNN.expr.const(feed[i.name], list(feed[i.name].shape), order, MNN.expr.int) for i in self._inputs]
        return [value.read() for value in self.module.forward(given)]


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> MnnSession:
    """Loads a file with so many threads.

    Raises:
        PerfUsageError: another provider than the CPU is asked for.
        PerfError: no such file, or one that MNN does not load.
    """
    check_peer_file(path, provider, "MNN")
    settings = {"backend": "CPU", "numThread": threads, "precision": PRECISION}
    try:
        manager = MNN.nn.create_runtime_manager((settings,))
        # No names: all inputs and outputs that the file has.
        return MnnSession(path, MNN.nn.load_module_from_file(str(path), [], [], runtime_manager=manager))
    except Exception as error:  # of several kinds
        raise PerfError(f"MNN {_version()} cannot load {path}: {one_line(_cause(error))}") from None


def placement(session: MnnSession) -> Placement:
    """The operators of the file, of which MNN's session may run fewer."""
    kinds = (node.op_type for node in MNN.expr.load_as_dict(str(session.path)).values())
    return Placement({"MNN": dict(Counter(kind for kind in kinds if kind not in NO_WORK).most_common())})


def describe(session: MnnSession) -> str:
    """Version, and the precision that is asked for."""
    return f"MNN {_version()} (precision {PRECISION})"


def _version() -> str:
    return metadata.version("MNN")


def _cause(error: Exception) -> Exception:
    """What MNN's binding had to say, where Python wraps it."""
    return error.__cause__ if isinstance(error.__cause__, Exception) else error
