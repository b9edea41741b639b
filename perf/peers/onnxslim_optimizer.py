"""onnxslim with its defaults."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from perf.errors import PerfError


def slim(source: Path, output: Path) -> None:
    """Optimizes a file with onnxslim; dynamic shapes stay dynamic. Raises PerfError where onnxslim fails."""
    try:
        import onnxslim
    except ImportError as error:
        raise PerfError("onnxslim: is not installed here; pip install onnxslim") from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            onnxslim.slim(str(source), str(output))
    except Exception as error:  # it raises many classes
        raise PerfError(
            f"onnxslim fails on {source.name}: {(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from error
