"""onnxruntime's dynamic int8 quantization, which its documentation recommends for transformers."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

import onnx

from perf.errors import PerfError, one_line


def quantize_dynamically(source: Path, output: Path) -> str:
    """Quantizes a file with `onnxruntime.quantization.quantize_dynamic` and its defaults.

    The pre-processing in its documentation is left out: its symbolic shape inference fails on transformers' export of a
    MobileBERT, and without that it changes neither operators nor outputs.

    Returns the defaults, for the report. Raises PerfError where it fails.
    """
    disabled = logging.root.manager.disable
    try:
        from onnxruntime.quantization import quantize_dynamic

        logging.disable(logging.WARNING)  # its advice to run the pre-processing
        # Loaded, because beside a path it would write a temporary file.
        quantize_dynamic(onnx.load(source), output)
    except Exception as error:  # it raises many classes
        raise PerfError(f"quantize_dynamic fails on {source.name}: {one_line(error)}") from error
    finally:
        logging.disable(disabled)
    defaults = inspect.signature(quantize_dynamic).parameters
    settings = ", ".join(f"{name} {defaults[name].default}" for name in ("per_channel", "reduce_range", "weight_type"))
    return f"quantize_dynamic with its defaults: {settings}"
