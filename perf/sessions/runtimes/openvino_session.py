"""OpenVINO on the CPU, for models in its own format (`.xml` with its `.bin`) or any other that it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perf.errors import PerfError, PerfUsageError, one_line
from perf.providers import CPU, Provider
from perf.sessions.inputs import DeclaredInput
from perf.sessions.session import Placement

try:
    import openvino
except ImportError as error:
    raise PerfError("openvino is not installed here; pip install openvino") from error

DEVICE = "CPU"

TYPES = {
    "i64": "tensor(int64)",
    "i32": "tensor(int32)",
    "i8": "tensor(int8)",
    "u8": "tensor(uint8)",
    "boolean": "tensor(bool)",
    "f32": "tensor(float)",
    "f16": "tensor(float16)",
}
"""onnxruntime's name of each of OpenVINO's element types."""

NO_WORK = ("Const", "Input", "Output")
"""Layers of the compiled graph that are not operators."""


class OpenVinoSession:
    """A compiled model and its one request, with the methods of onnxruntime's session."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self._request = compiled.create_infer_request()

    def get_inputs(self) -> list[DeclaredInput]:
        return [_declared(port) for port in self.compiled.inputs]

    def get_outputs(self) -> list[DeclaredInput]:
        return [_declared(port) for port in self.compiled.outputs]

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        # Like onnxruntime, it reads numpy's memory and returns its own: nothing is copied.
        return list(self._request.infer(feed, share_inputs=True, share_outputs=True).values())


@dataclass(frozen=True)
class OpenVinoRuntime:
    """OpenVINO with floats computed as `f32` or `bf16`; None leaves the choice to OpenVINO."""

    floats: str | None = None

    def open_session(
        self, path: Path, provider: Provider, threads: int, library: Path | None = None
    ) -> OpenVinoSession:
        """Compiles a file for the CPU as one does for single requests: the hint for latency, one stream.

        Its threads do not spin between runs, and are bound to cores only while they work.

        Args:
            path: An `.xml`, or any format that OpenVINO reads.
            provider: The CPU.
            threads: The number of threads.
            library: Unused: a library of operators for onnxruntime.

        Raises:
            PerfUsageError: a provider other than the CPU.
            PerfError: no such file, or one that OpenVINO does not load.
        """
        if provider != CPU:
            raise PerfUsageError(f"{path.name} runs in OpenVINO on the CPU, not on {provider.name}: bench it apart")
        if not path.is_file():
            raise PerfError(f"no file {path}; expected a model: check the path")
        settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
        if self.floats is not None:
            settings["INFERENCE_PRECISION_HINT"] = self.floats
        try:
            return OpenVinoSession(openvino.Core().compile_model(path, DEVICE, settings))
        except Exception as error:  # it raises many classes
            raise PerfError(f"OpenVINO {_version()} cannot load {path}: {one_line(error)}") from None

    def placement(self, session: OpenVinoSession) -> Placement:
        """Returns the operators of the graph that runs, after fusion."""
        layers = (node.get_rt_info()["layerType"].value for node in session.compiled.get_runtime_model().get_ops())
        counts = Counter(layer for layer in layers if layer not in NO_WORK)
        return Placement({"OpenVINO": dict(counts.most_common())})

    def describe(self, session: OpenVinoSession) -> str:
        """Returns the version, and the type of floats: bfloat16 by default where the CPU has it."""
        precision = session.compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        return f"OpenVINO {_version()} (floats as {precision})"


DEFAULT, F32, BF16 = OpenVinoRuntime(), OpenVinoRuntime("f32"), OpenVinoRuntime("bf16")

open_session, placement, describe = DEFAULT.open_session, DEFAULT.placement, DEFAULT.describe


def _version() -> str:
    """Returns the release, without the commit."""
    return str(openvino.__version__).partition("-")[0]


def _declared(port: Any) -> DeclaredInput:
    kind = port.get_element_type().get_type_name()
    shape = tuple(dim.get_length() if dim.is_static else None for dim in port.get_partial_shape())
    return DeclaredInput(port.get_any_name(), TYPES.get(kind, kind), shape)
