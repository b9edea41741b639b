"""The command line: `mbert-onnx`. The entry point is `main`; `app` is the typer application."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mbert_onnx.cli.errors import guarded, install
from mbert_onnx.cli.signals import end_with

if TYPE_CHECKING:
    from mbert_onnx.cli.application import app

__all__ = ["app", "main"]


def main() -> None:
    """Runs the command line and exits."""
    install()
    code = guarded(_run)
    end_with(code)
    sys.exit(code)


def _run() -> None:
    from mbert_onnx.cli.application import app  # imported here, where a failed or interrupted import is one line

    app()


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: `main` reports an import that fails or is interrupted in one line.
    if name == "app":
        from mbert_onnx.cli.application import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
