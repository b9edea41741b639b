"""OpenVINO's 8 bits: NNCF's post-training quantization, as its documentation shows it for transformers."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from perf.errors import PerfError, one_line
from perf.inputs import CHOICES

# NNCF tells its makers of its use, unless it is tested. A bench tells nobody of anything.
os.environ.setdefault("NNCF_CI", "1")


def quantize_for_openvino(source: Path, output: Path, feeds: Sequence[Mapping[str, np.ndarray]]) -> str:
    """Writes an `.xml`, and a `.bin` beside it, of an `.onnx` file; dynamic shapes stay dynamic. Tells how.

    Args:
        source: The float model.
        output: The `.xml` to write.
        feeds: Inputs by name, on which it is calibrated.

    Raises PerfError where it fails, or its packages are not installed.
    """
    try:
        import nncf
        import openvino
    except ImportError as error:
        raise PerfError("openvino or nncf is not installed here; pip install 'mbert-onnx[peers]'") from error
    nncf.set_log_level(logging.ERROR)
    try:
        model = openvino.Core().read_model(source)
    except Exception as error:  # of its many
        raise PerfError(f"OpenVINO does not read {source.name}: {one_line(error)}") from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # its progress
            texts = nncf.Dataset([dict(feed) for feed in feeds])
            quantized = nncf.quantize(model, texts, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(feeds))
            openvino.save_model(quantized, output)
    except Exception as error:  # of its many
        raise PerfError(f"nncf fails on {source.name}: {one_line(error)}") from error
    return f"nncf {metadata.version('nncf')}: quantize with model_type TRANSFORMER, calibrated on {len(feeds)} texts"


def fix_shapes(source: Path, output: Path, *, batch: int, seq_len: int) -> None:
    """Writes an `.xml` of another one with fixed shapes, for which OpenVINO makes faster code.

    Args:
        source: The `.xml`, with dynamic shapes.
        output: The `.xml` to write.
        batch, seq_len: Its first and last dimension; choices between become as many as a bench gives.
    """
    import openvino

    model = openvino.Core().read_model(source)
    shapes = {}
    for port in model.inputs:
        dims = [dim.get_length() if dim.is_static else CHOICES for dim in port.get_partial_shape()]
        shapes[port.get_any_name()] = [batch, *dims[1:-1], seq_len]
    model.reshape(shapes)
    openvino.save_model(model, output)
