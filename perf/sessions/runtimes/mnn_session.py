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
from perf.sessions.inputs import DeclaredInput, DeclaredPorts
from perf.sessions.peer_file import check_peer_file
from perf.sessions.session import Placement

try:
    import MNN
except ImportError as error:
    raise PerfError("MNN is not installed here; pip install MNN") from error

PRECISION = "high"
"""float32 everywhere. `normal` and `low` may be float16 where a CPU has it."""

NO_WORK = ("Const", "Input", "Trainable")
"""Nodes of a file that are not operators."""


class MnnSession(DeclaredPorts):
    """A module, with the methods of onnxruntime's session. Inputs are 32-bit integers."""

    def __init__(self, path: Path, module: Any) -> None:
        self.path, self.module = path, module
        info = module.get_info()
        inputs = [
            DeclaredInput(name, "tensor(int32)", tuple(item.shape))
            for name, item in zip(info["inputNames"], info["inputs"], strict=True)
        ]
        outputs = [DeclaredInput(name, "tensor(float)", ()) for name in info["outputNames"]]
        super().__init__(inputs, outputs)

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        order = MNN.expr.NCHW  # plain row-major, for any number of dimensions
        given = [MNN.expr.const(feed[i.name], list(feed[i.name].shape), order, MNN.expr.int) for i in self._inputs]
        return [value.read() for value in self.module.forward(given)]


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> MnnSession:
    """Loads a file.

    Raises:
        PerfUsageError: a provider other than the CPU.
        PerfError: no such file, or one that MNN does not load.
    """
    check_peer_file(path, provider, "MNN")
    settings = {"backend": "CPU", "numThread": threads, "precision": PRECISION}
    try:
        manager = MNN.nn.create_runtime_manager((settings,))
        # Without names it gets all inputs and outputs of the file.
        return MnnSession(path, MNN.nn.load_module_from_file(str(path), [], [], runtime_manager=manager))
    except Exception as error:  # it raises several classes
        raise PerfError(f"MNN {_version()} cannot load {path}: {one_line(_cause(error))}") from None


def placement(session: MnnSession) -> Placement:
    """Returns the operators of the file; MNN's session may run fewer."""
    kinds = (node.op_type for node in MNN.expr.load_as_dict(str(session.path)).values())
    return Placement({"MNN": dict(Counter(kind for kind in kinds if kind not in NO_WORK).most_common())})


def describe(session: MnnSession) -> str:
    """Returns the version and the requested precision."""
    return f"MNN {_version()} (precision {PRECISION})"


def _version() -> str:
    return metadata.version("MNN")


def _cause(error: Exception) -> Exception:
    """Returns the error of MNN's binding where Python wraps it."""
    return error.__cause__ if isinstance(error.__cause__, Exception) else error
