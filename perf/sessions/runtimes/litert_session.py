"""LiteRT on the CPU, with XNNPACK: `.tflite` files, whose shapes are fixed."""

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
    from ai_edge_litert.interpreter import Interpreter
except ImportError as error:
    raise PerfError("ai-edge-litert is not installed here; pip install ai-edge-litert") from error

TYPES = {np.int32: "tensor(int32)", np.int64: "tensor(int64)", np.float32: "tensor(float)", np.bool_: "tensor(bool)"}
"""onnxruntime's name of each of numpy's element types."""

DELEGATE = "DELEGATE"
"""The name of the operator that stands for all those that XNNPACK runs."""


class LiteRtSession:
    """An interpreter, with the methods of onnxruntime's session."""

    def __init__(self, interpreter: Any) -> None:
        self.interpreter = interpreter
        runner = interpreter.get_signature_runner()
        self._inputs, self._outputs = runner.get_input_details(), runner.get_output_details()

    def get_inputs(self) -> list[DeclaredInput]:
        return [_declared(name, item) for name, item in self._inputs.items()]

    def get_outputs(self) -> list[DeclaredInput]:
        return [_declared(name, item) for name, item in self._outputs.items()]

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        for name, item in self._inputs.items():
            self.interpreter.set_tensor(item["index"], feed[name])
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(item["index"]) for item in self._outputs.values()]


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> LiteRtSession:
    """Loads a file.

    Raises:
        PerfUsageError: a provider other than the CPU.
        PerfError: no such file, or one that LiteRT does not load.
    """
    check_peer_file(path, provider, "LiteRT")
    try:
        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
        return LiteRtSession(interpreter)
    except Exception as error:  # it raises several classes
        raise PerfError(f"LiteRT {_version()} cannot load {path}: {one_line(error)}") from None


def placement(session: LiteRtSession) -> Placement:
    """Returns the operators of the file; the interpreter lists those of XNNPACK and a `DELEGATE`, which is left out."""
    counts = Counter(item["op_name"] for item in session.interpreter._get_ops_details())
    counts.pop(DELEGATE, None)
    return Placement({"LiteRT": dict(counts.most_common())})


def describe(session: LiteRtSession) -> str:
    """Returns the version, and whether XNNPACK is used."""
    delegated = any(item["op_name"] == DELEGATE for item in session.interpreter._get_ops_details())
    return f"LiteRT {_version()} ({'XNNPACK' if delegated else 'without XNNPACK'})"


def _version() -> str:
    return metadata.version("ai-edge-litert")


def _declared(name: str, item: Mapping[str, Any]) -> DeclaredInput:
    return DeclaredInput(name, TYPES.get(item["dtype"], str(item["dtype"])), tuple(int(dim) for dim in item["shape"]))
