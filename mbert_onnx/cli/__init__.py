"""The command line: `mbert-onnx`. The entry point is `main`; the typer application is `mbert_onnx.cli.app`."""

from __future__ import annotations

import sys

from mbert_onnx.cli.errors import guarded, install, uninstall

__all__ = ["main"]


def main() -> None:
    """Runs the command line and exits."""
    install()
    code = guarded(_run)
    uninstall()
    sys.exit(code)


def _run() -> None:
    from mbert_onnx.cli.app import app  # imported here, where a failed or interrupted import is one line

    app()
