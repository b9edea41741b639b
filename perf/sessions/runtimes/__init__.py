"""Runtimes that open and run model files: onnxruntime, and peers with formats of their own. Each is one module."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from perf.providers import Provider
    from perf.sessions.session import Placement, Session

ONNXRUNTIME = "onnxruntime"
OPENVINO, OPENVINO_F32, OPENVINO_BF16 = "openvino", "openvino-f32", "openvino-bf16"
NODE, ORT_WEB, MBERT_WEB = "node", "onnxruntime-web", "mbert-onnx-web"

SETTINGS = {
    OPENVINO_F32: (OPENVINO, "F32"),
    OPENVINO_BF16: (OPENVINO, "BF16"),
    ORT_WEB: (NODE, "ORT_WEB"),
    MBERT_WEB: (NODE, "MBERT_WEB"),
}
"""Runtimes that are another one with other settings: that one, and the object in its module that has them."""


class Runtime(Protocol):
    """The functions of a runtime's module."""

    def open_session(self, path: Path, provider: Provider, threads: int, library: Path | None = None) -> Session:
        """Loads a file, to be run with `threads` threads.

        `library` has custom operators for onnxruntime, or is the npm package of a runtime under Node.js.

        Raises:
            PerfError: the file cannot be loaded, or not on this provider.
        """

    def placement(self, session: Any, /) -> Placement:
        """Returns the operators that a run executes, by who executes them."""

    def describe(self, session: Any, /) -> str:
        """Returns the runtime's name and version, and the settings that change the measurements."""


def runtime_named(name: str) -> Runtime:
    """Imports and returns the runtime called `name`.

    It is imported here and not at the top, because a process whose memory is measured must not hold other runtimes.

    Raises:
        PerfError: its package is not installed.
    """
    module = import_module(module_name(name))
    return cast("Runtime", getattr(module, SETTINGS[name][1]) if name in SETTINGS else module)


def module_name(name: str) -> str:
    """Returns the module of the runtime called `name`: `NAME_session` in this folder, with `_` for `-`.

    The settings of another runtime are in that one's module.
    """
    base, _ = SETTINGS.get(name, (name, ""))
    return f"{__name__}.{base.replace('-', '_')}_session"
