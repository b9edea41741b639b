"""Sessions in Node.js: `.onnx` files in onnxruntime-web, or in mbert-onnx-web."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
import onnx_ir as ir

from perf.errors import PerfError, one_line
from perf.providers import Provider
from perf.sessions.inputs import DeclaredInput, DeclaredPorts
from perf.sessions.peer_file import check_peer_file
from perf.sessions.runtimes.node_session.process import NodeProcess
from perf.sessions.session import Placement, Timer

SPELLINGS = {"float32": "float", "float64": "double"}
"""Element types whose name in JavaScript is not the one that onnxruntime has elsewhere."""


class NodeSession(DeclaredPorts):
    """A model in a Node.js process, with the methods of onnxruntime's session.

    It times its own runs, so that communication is not counted.
    """

    def __init__(self, path: Path, process: NodeProcess, threads: int) -> None:
        opened = process.ask("open", file=str(path.resolve()), threads=threads)
        self.path, self._process, self._number = path, process, opened["number"]
        self.load_ns: int = opened["load_ns"]
        self.runtime: str = opened["runtime"]
        inputs = [
            DeclaredInput(
                item["name"],
                f"tensor({SPELLINGS.get(item['type'], item['type'])})",
                tuple(size if isinstance(size, int) else str(size) or None for size in item["shape"]),
            )
            for item in opened["inputs"]
        ]
        super().__init__(inputs, [DeclaredInput(name, "", ()) for name in opened["outputs"]])
        finalize(self, process.forget, self._number)

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return [_array(tensor) for tensor in self._process.ask("run", number=self._number, feed=_tensors(feed))]

    def timer(self, feed: Mapping[str, np.ndarray]) -> Timer:
        index = self._process.ask("hold", number=self._number, feed=_tensors(feed))

        def timed(after_another: bool) -> int:
            return int(self._process.ask("time", number=self._number, index=index, after_another=after_another))

        return timed

    def peak_bytes(self) -> int:
        """Returns the increase of the process's peak resident size since before its first model was opened."""
        return int(self._process.ask("memory"))


@dataclass(frozen=True)
class NodeRuntime:
    """A runtime that is an npm package.

    Args:
        package: Its name, for which `programs/` has a module.
        inlines_functions: Whether it runs the nodes in a function's body, and no kernel for the function.
    """

    package: str
    inlines_functions: bool = False

    def open_session(self, path: Path, provider: Provider, threads: int, library: Path | None = None) -> NodeSession:
        """Loads a file in the Node.js process of this package and this number of threads.

        Args:
            path: An `.onnx` file with its weights.
            provider: The CPU.
            threads: The number of threads.
            library: The folder of the npm package.

        Raises:
            PerfUsageError: a provider other than the CPU.
            PerfError: no such file or package, one that the runtime does not load, or Node.js is missing.
        """
        check_peer_file(path, provider, self.package)
        if library is None:
            raise PerfError(
                f"{path.name} is to run in {self.package}, expected the folder of that npm package; pass it"
            )
        try:
            return NodeSession(path, _process(self.package, library, threads), threads)
        except PerfError as error:
            raise PerfError(f"{self.package} cannot load {path}: {error}") from None

    def placement(self, session: NodeSession) -> Placement:
        """Returns the operators of the file; a runtime that fuses some of them runs fewer nodes."""
        try:
            model = ir.load(session.path)
        except Exception as error:  # protobuf's, the file system's, or onnx_ir's
            raise PerfError(f"cannot read {session.path}: {one_line(error)}; expected an .onnx file") from None
        counts = Counter(_operators(model, model.graph, inlines_functions=self.inlines_functions))
        return Placement({self.package: dict(counts.most_common())})

    def describe(self, session: NodeSession) -> str:
        """Returns the versions of the package and of Node.js, and the instruction set in use."""
        return session.runtime


@cache
def _process(runtime: str, package: Path, threads: int) -> NodeProcess:
    """Returns a process that sessions share, since onnxruntime-web has one number of threads in a process.

    They then share the compiled WebAssembly, too, as the models of one page do.
    """
    return NodeProcess(runtime, package)


def _operators(model: ir.Model, graph: ir.Graph | ir.Function, *, inlines_functions: bool) -> list[str]:
    found = []
    for node in graph:
        function = model.functions.get(node.op_identifier()) if inlines_functions else None
        if function is None:
            found.append(node.op_type)
        else:
            found += _operators(model, function, inlines_functions=True)
    return found


def _tensors(feed: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Returns inputs as JSON: the element type, the sizes, and the bytes in base64."""
    return {
        name: {
            "type": str(value.dtype),
            "dims": list(value.shape),
            "data": base64.b64encode(np.ascontiguousarray(value).tobytes()).decode(),
        }
        for name, value in feed.items()
    }


def _array(tensor: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(tensor["data"]), tensor["type"]).reshape(tensor["dims"])
