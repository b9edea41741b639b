"""What a teacher of another architecture says of texts: the logits that a student learns beside the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from mbert_onnx.checkpoint import load_checkpoint
from mbert_onnx.data.example import Example
from mbert_onnx.errors import CheckpointError
from mbert_onnx.foreign import is_foreign
from mbert_onnx.student import MobileBertModel
from mbert_onnx.tasks import TEXT_CLASSIFICATION
from mbert_onnx.training.models import config_in

BATCH = 32

Tell = Callable[[str, int, int, dict[str, float]], None]


def opinions_of(
    checkpoint: str, examples: Sequence[Example], labels: int, accelerator: Accelerator, tell: Tell
) -> np.ndarray:
    """The logits of a classifier, ``[texts, labels]``, float32.

    Args:
        checkpoint: A classifier of ours, or of any class of transformers.
        examples: The texts.
        labels: How many labels it must have.
        accelerator: Where it runs, and in which precision.
        tell: As of `finetune`; of many texts this takes a while.

    Raises CheckpointError for one that cannot be loaded, or has other labels.
    """
    tokenizer, model = classifier_of(checkpoint)
    model.to(accelerator.device)
    found = np.zeros((len(examples), labels), np.float32)
    order = sorted(range(len(examples)), key=lambda number: len(examples[number].text))
    with torch.inference_mode(), accelerator.autocast():
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
            ).to(accelerator.device)
            logits = model(**feed).logits.float().cpu().numpy()
            if logits.shape[1] != labels:
                raise CheckpointError(f"teacher {checkpoint} has {logits.shape[1]} labels, the data {labels}")
            found[numbers] = logits
            tell("the teacher's opinion", start + len(numbers), len(order), {})
    return found


def classifier_of(checkpoint: str) -> tuple[Any, torch.nn.Module]:
    """A classifier, and transformers' tokenizer of it. Raises CheckpointError for one that cannot be loaded."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        if is_foreign(checkpoint):
            model: torch.nn.Module = AutoModelForSequenceClassification.from_pretrained(checkpoint)
        else:
            model = load_checkpoint(checkpoint, task=TEXT_CLASSIFICATION.name).model
    except CheckpointError:
        raise
    except Exception as error:  # of transformers' many
        raise CheckpointError(f"teacher {checkpoint} cannot be loaded ({' '.join(str(error).split())})") from error
    return tokenizer, model.eval()


def words_of(model: torch.nn.Module) -> torch.Tensor:
    """The word embeddings of such a classifier, float32, ``[words, embedding_size]``."""
    ours = getattr(model, "mobilebert", None)
    table = ours.embeddings.word_embeddings if isinstance(ours, MobileBertModel) else model.get_input_embeddings()  # type: ignore[operator]
    weight = table.weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach().float()
