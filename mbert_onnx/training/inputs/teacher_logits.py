"""Teacher logits: the logits of a classifier on the training texts, which a student learns beside the labels."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from mbert_onnx.bundles.atomic import atomic_file
from mbert_onnx.errors import CheckpointError, TrainingError
from mbert_onnx.model.checkpoint import checkpoint_folder, load_checkpoint
from mbert_onnx.model.checkpoint_tokenizer.loading import without_warnings
from mbert_onnx.model.other_berts import is_other_bert
from mbert_onnx.model.student import MobileBertModel
from mbert_onnx.reference import located
from mbert_onnx.text.tasks import TEXT_CLASSIFICATION
from mbert_onnx.training.data.example import Example
from mbert_onnx.training.inputs.models import config_in
from mbert_onnx.training.progress import TrainingProgress

BATCH = 32

TEXTS_PER_FILE = 2048
"""Texts whose logits are cached in one file: a killed run loses at most about a minute of work."""


def teacher_logits_of(
    checkpoint: str,
    examples: Sequence[Example],
    labels: int,
    accelerator: Accelerator,
    folder: Path,
    progress: TrainingProgress,
) -> np.ndarray:
    """Computes the logits of a classifier, float32 ``[texts, labels]``.

    Args:
        checkpoint: Classifier: ours, or any class of transformers.
        examples: The texts.
        labels: Expected number of labels.
        accelerator: Device and precision.
        folder: Cache of the logits, keyed by classifier and texts. Concurrent runs may share it.
        progress: Progress callback.

    Raises CheckpointError for a classifier that cannot be loaded or has another number of labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    teacher_key = f"{_fingerprint(checkpoint)} {accelerator.mixed_precision}"
    parts = [examples[start : start + TEXTS_PER_FILE] for start in range(0, len(examples), TEXTS_PER_FILE)]
    files = [folder / f"{_name(teacher_key, part)}.npy" for part in parts]
    teacher: tuple[Any, torch.nn.Module] | None = None
    found: dict[int, np.ndarray] = {}
    done = 0
    # Each process starts at another file, so that concurrent runs do not compute the same files.
    for number in np.roll(np.arange(len(parts)), os.getpid() % len(parts)).tolist():
        part, file = parts[number], files[number]
        if not file.is_file():
            if teacher is None:
                teacher = classifier_of(checkpoint)
                teacher[1].to(accelerator.device)
            computed = _logits(*teacher, part, accelerator, partial(_report, progress, done, len(examples)))
            with atomic_file(file, TrainingError) as beside:
                np.save(beside, computed)
        found[number] = logits = np.load(file)
        if logits.shape[1] != labels:  # also if the file is from a run with other labels
            raise CheckpointError(f"teacher {checkpoint} has {logits.shape[1]} labels, the data {labels}")
        done += len(part)
    return np.concatenate([found[number] for number in range(len(parts))])


def _report(progress: TrainingProgress, before: int, total: int, count: int) -> None:
    progress("teacher logits", before + count, total, {})


def _logits(
    tokenizer: Any,
    model: torch.nn.Module,
    examples: Sequence[Example],
    accelerator: Accelerator,
    progress: Callable[[int], None],
) -> np.ndarray:
    found: dict[int, np.ndarray] = {}
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
            found |= dict(zip(numbers, model(**feed).logits.float().cpu().numpy(), strict=True))
            progress(len(found))
    return np.stack([found[number] for number in range(len(examples))])


def _fingerprint(checkpoint: str) -> str:
    """Returns the hash of all files of a classifier: config, tokenizer and weights."""
    digest = hashlib.sha256()
    for path in sorted(checkpoint_folder(checkpoint).iterdir()):
        if path.is_file():
            digest.update(f"{path.name} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()


def _name(teacher_key: str, examples: Sequence[Example]) -> str:
    texts = json.dumps([[example.text, example.pair] for example in examples])
    return hashlib.sha256(f"{teacher_key} {texts}".encode()).hexdigest()


def classifier_of(checkpoint: str) -> tuple[Any, torch.nn.Module]:
    """Returns transformers' tokenizer and model of a classifier. Raises CheckpointError if it cannot be loaded."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(located(checkpoint))
        if is_other_bert(checkpoint):
            with without_warnings():  # missing weights are reported by the error below
                model, info = AutoModelForSequenceClassification.from_pretrained(checkpoint, output_loading_info=True)
            if info["missing_keys"]:
                lacks = ", ".join(sorted(info["missing_keys"]))
                raise CheckpointError(f"teacher {checkpoint} is not a classifier: it lacks {lacks}; fine-tune it first")
        else:
            model = load_checkpoint(checkpoint, task=TEXT_CLASSIFICATION.name).model
    except CheckpointError:
        raise
    except Exception as error:  # transformers raises errors of many kinds
        raise CheckpointError(f"teacher {checkpoint} cannot be loaded ({' '.join(str(error).split())})") from error
    return tokenizer, model.eval()


def word_embeddings_of(model: torch.nn.Module) -> torch.Tensor:
    """Returns the word embeddings of a classifier, float32 ``[words, embedding_size]``."""
    ours = getattr(model, "mobilebert", None)
    table = ours.embeddings.word_embeddings if isinstance(ours, MobileBertModel) else model.get_input_embeddings()  # type: ignore[operator]
    weight = table.weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach().float()
