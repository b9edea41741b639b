"""The command line: `mbert-onnx`. The entry point is `main`."""

from __future__ import annotations

from mbert_onnx.cli.app import main

__all__ = ["main"]
