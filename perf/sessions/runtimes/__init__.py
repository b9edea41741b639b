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
    """Imports and returns the runtime called `name`.

    It is imported here and not at the top, because a process whose memory is measured must not hold other runtimes.

    Raises:
        PerfError: its package is not installed.
    """
    return cast("Runtime", import_module(module_name(name)))


def module_name(name: str) -> str:
    """Returns the module of the runtime called `name`: `NAME_session` in this folder, with `_` for `-`."""
    return f"{__name__}.{name.replace('-', '_')}_session"
