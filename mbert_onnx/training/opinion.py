"""What a teacher of another architecture says of texts: the logits that a student learns beside the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from mbert_onnx.checkpoint import load_checkpoint
from mbert_onnx.data.example import Example
from mbert_onnx.errors import CheckpointError
from mbert_onnx.foreign import is_foreign
from mbert_onnx.tasks import TEXT_CLASSIFICATION
from mbert_onnx.training.models import config_in

BATCH = 32

Tell = Callable[[str, int, int, dict[str, float]], None]


def opinions_of(
    checkpoint: str, examples: Sequence[Example], labels: int, device: torch.device, tell: Tell
) -> np.ndarray:
    """The logits of a classifier, ``[texts, labels]``, float32.

    Args:
        checkpoint: A classifier of ours, or of any class of transformers.
        examples: The texts.
        labels: How many labels it must have.
        device: Where it runs.
        tell: As of `finetune`; of many texts this takes a while.

    Raises CheckpointError for one that cannot be loaded, or has other labels.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        model = _model(checkpoint).to(device).eval()
    except CheckpointError:
        raise
    except Exception as error:  # of transformers' many
        raise CheckpointError(f"teacher {checkpoint} cannot be loaded ({' '.join(str(error).split())})") from error
    found = np.zeros((len(examples), labels), np.float32)
    order = sorted(range(len(examples)), key=lambda number: len(examples[number].text))
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            numbers = order[start : start + BATCH]
            texts = [examples[number].text for number in numbers]
            pairs = [examples[number].pair for number in numbers]
            feed = tokenizer(
                texts,
                None if None in pairs else pairs,
                padding=True,
                truncation=True,
                max_length=config_in(model).max_position_embeddings,
                return_tensors="pt",
            ).to(device)
            logits = model(**feed).logits.float().cpu().numpy()
            if logits.shape[1] != labels:
                raise CheckpointError(f"teacher {checkpoint} has {logits.shape[1]} labels, the data {labels}")
            found[numbers] = logits
            tell("the teacher's opinion", start + len(numbers), len(order), {})
    return found


def _model(checkpoint: str) -> torch.nn.Module:
    if not is_foreign(checkpoint):
        return load_checkpoint(checkpoint, task=TEXT_CLASSIFICATION.name).model
    from transformers import AutoModelForSequenceClassification

    model: torch.nn.Module = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    return model
