"""Calibration texts of our int8, as inputs of any MobileBERT `.onnx` file: other quantizers get the same ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mbert_onnx.bundles.model_file import TextModel, TextReader
from mbert_onnx.errors import CalibrationError, UsageError


def calibration_feeds(name: str, file: Path, reader: TextReader | None) -> list[dict[str, np.ndarray]]:
    """Returns the inputs of each calibration text, by name.

    Args:
        name: The name of the quantized model, for the error.
        file: The `.onnx` file that declares the inputs.
        reader: The tokenizer of the model; None where it has none.

    Raises UsageError where `reader` is None, CalibrationError where it does not know the words of the texts.
    """
    if reader is None:
        raise UsageError(
            f"{name} is calibrated on texts, and the model inside has no tokenizer to read them with; expected a "
            "bundle, or transformers:CHECKPOINT, of a model that has one"
        )
    from mbert_onnx.bundles.inputs import inputs_of
    from mbert_onnx.conversion.precision import read_texts
    from perf.providers import CPU
    from perf.sessions.runtimes.onnxruntime_session import open_session

    inputs = inputs_of(open_session(file, CPU, 1), reader.task, file.name)
    try:
        texts = read_texts(None, TextModel(file.name, inputs.shapes, reader, is_random=False))
    except CalibrationError as error:
        raise CalibrationError(
            f"{name} is calibrated on built-in English sentences, and the model's tokenizer does not know their words; "
            "leave it out"
        ) from error
    return [{key: feed[key] for key in inputs.names} for feed in texts.fit]
