"""onnxruntime's own dynamic quantization to 8 bits, as its documentation recommends for transformers."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

import onnx

from perf.errors import PerfError, one_line


def quantize_dynamically(source: Path, output: Path) -> str:
    """Writes what `onnxruntime.quantization.quantize_dynamic` makes of a file with its own defaults; tells those.

    The pre-processing that its documentation mentions is left out: on transformers' export of a MobileBERT its symbolic
    shape inference fails, and without that it changes neither operators nor outputs.

    Raises PerfError where it fails.
    """
    disabled = logging.root.manager.disable
    try:
        from onnxruntime.quantization import quantize_dynamic

        logging.disable(logging.WARNING)  # it recommends the pre-processing
        # A model and no path, beside which it would put a file of its own for a while.
        quantize_dynamic(onnx.load(source), output)
    except Exception as error:  # of its many
        raise PerfError(f"quantize_dynamic fails on {source.name}: {one_line(error)}") from error
    finally:
        logging.disable(disabled)
    defaults = inspect.signature(quantize_dynamic).parameters
    told = ", ".join(f"{name} {defaults[name].default}" for name in ("per_channel", "reduce_range", "weight_type"))
    return f"quantize_dynamic with its defaults: {told}"
