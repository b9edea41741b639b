"""The texts that our own int8 is calibrated on, as any `.onnx` takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mbert_onnx.bundles.text_reader import Reader
from mbert_onnx.errors import UsageError


def calibration_feeds(name: str, file: Path, reader: Reader | None) -> list[dict[str, np.ndarray]]:
    """Inputs by name, a text each.

    Args:
        name: What is calibrated.
        file: The `.onnx` that declares the inputs.
        reader: What reads texts for it.

    Raises UsageError where there is no reader.
    """
    if reader is None:
        raise UsageError(
            f"{name} is calibrated on texts, and the model inside has no tokenizer to read them with; "
            "name a bundle, or transformers:CHECKPOINT, of a model that has one"
        )
    from mbert_onnx.bundles.inputs import inputs_of
    from mbert_onnx.bundles.model_file import TextModel
    from mbert_onnx.conversion.precision import read_texts
    from perf.providers import CPU
    from perf.sessions.runtimes.onnxruntime_session import open_session

    inputs = inputs_of(open_session(file, CPU, 1), reader.task, file.name)
    read = TextModel(
        file.name,
        reader.task,
        inputs.shapes,
        reader.tokenizer,
        reader.vocab_size,
        reader.max_positions,
        is_random=False,
    )
    texts = read_texts(None, read)
    return [{key: feed[key] for key in inputs.names} for feed in texts.fit]
