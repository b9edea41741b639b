"""What runs a model that is timed: onnxruntime, or a peer with a format of its own. Each is one module."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from perf.providers import Provider
    from perf.sessions.session import Placement, Session

ONNXRUNTIME, LITERT = "onnxruntime", "litert"
OPENVINO, OPENVINO_F32, OPENVINO_BF16 = "openvino", "openvino-f32", "openvino-bf16"
MNN, EXECUTORCH, IREE, NCNN, TVM = "mnn", "executorch", "iree", "ncnn", "tvm"
TORCH, TORCH_COMPILED = "torch", "torch-compiled"

MODULES = {
    ONNXRUNTIME: "onnxruntime_session",
    OPENVINO: "openvino_session",
    OPENVINO_F32: "openvino_f32_session",
    OPENVINO_BF16: "openvino_bf16_session",
    LITERT: "litert_session",
    MNN: "mnn_session",
    EXECUTORCH: "executorch_session",
    IREE: "iree_session",
    NCNN: "ncnn_session",
    TVM: "tvm_session",
    TORCH: "torch_session",
    TORCH_COMPILED: "torch_compiled_session",
}
"""Imported when asked for: nobody needs them all, and a process whose memory is measured must not hold another's."""


class Runtime(Protocol):
    """What each of the modules has."""

    def open_session(self, path: Path, provider: Provider, threads: int, library: Path | None = None) -> Session:
        """Loads a file, to be run with so many threads; `library` has operators for onnxruntime.

        Raises:
            PerfError: the file cannot be loaded, or not on this provider.
        """

    def placement(self, session: Any, /) -> Placement:
        """Which operators are run, and by whom."""

    def describe(self, session: Any, /) -> str:
        """The runtime's name and version, and what of its settings changes the numbers."""


def runtime_named(name: str) -> Runtime:
    """The runtime of one of the names above.

    Raises:
        PerfError: its package is not installed.
    """
    return cast("Runtime", import_module(f"perf.sessions.runtimes.{MODULES[name]}"))
