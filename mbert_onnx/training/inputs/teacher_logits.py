"""What a teacher of another architecture says of texts: the logits that a student learns beside the labels."""

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
from mbert_onnx.model.other_berts import is_foreign, without_warnings
from mbert_onnx.model.student import MobileBertModel
from mbert_onnx.reference import located
from mbert_onnx.text.tasks import TEXT_CLASSIFICATION
from mbert_onnx.training.data.example import Example
from mbert_onnx.training.inputs.models import config_in

BATCH = 32

KEPT = 2048
"""Texts whose opinions are kept in one file: a minute or less is lost when a run is killed."""

Tell = Callable[[str, int, int, dict[str, float]], None]


def opinions_of(
    checkpoint: str, examples: Sequence[Example], labels: int, accelerator: Accelerator, folder: Path, tell: Tell
) -> np.ndarray:
    """The logits of a classifier, ``[texts, labels]``, float32.

    Args:
        checkpoint: A classifier of ours, or of any class of transformers.
        examples: The texts.
        labels: How many labels it must have.
        accelerator: Where it runs, and in which precision.
        folder: Where opinions are kept, by the classifier and the texts. Several runs may share it, at one time, too.
        tell: As of `finetune`; of many texts this takes a while.

    Raises CheckpointError for one that cannot be loaded, or has other labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    who = f"{_fingerprint(checkpoint)} {accelerator.mixed_precision}"
    parts = [examples[start : start + KEPT] for start in range(0, len(examples), KEPT)]
    files = [folder / f"{_name(who, part)}.npy" for part in parts]
    asked: tuple[Any, torch.nn.Module] | None = None
    found: dict[int, np.ndarray] = {}
    done = 0
    # Each process begins elsewhere, so that several do not do the same at the same time.
    for number in np.roll(np.arange(len(parts)), os.getpid() % len(parts)).tolist():
        part, file = parts[number], files[number]
        if not file.is_file():
            if asked is None:
                asked = classifier_of(checkpoint)
                asked[1].to(accelerator.device)
            told = partial(_told, tell, done, len(examples))
            said = _say(*asked, part, accelerator, told)
            with atomic_file(file, TrainingError) as beside:
                np.save(beside, said)
        found[number] = logits = np.load(file)
        if logits.shape[1] != labels:  # also where another run, of other labels, has asked
            raise CheckpointError(f"teacher {checkpoint} has {logits.shape[1]} labels, the data {labels}")
        done += len(part)
    return np.concatenate([found[number] for number in range(len(parts))])


def _told(tell: Tell, before: int, whole: int, count: int) -> None:
    tell("the teacher's opinion", before + count, whole, {})


def _say(
    tokenizer: Any,
    model: torch.nn.Module,
    examples: Sequence[Example],
    accelerator: Accelerator,
    tell: Callable[[int], None],
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
            tell(len(found))
    return np.stack([found[number] for number in range(len(examples))])


def _fingerprint(checkpoint: str) -> str:
    """Of a classifier's config, tokenizer and weights."""
    digest = hashlib.sha256()
    for path in sorted(checkpoint_folder(checkpoint).iterdir()):
        if path.is_file():
            digest.update(f"{path.name} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()


def _name(who: str, examples: Sequence[Example]) -> str:
    texts = json.dumps([[example.text, example.pair] for example in examples])
    return hashlib.sha256(f"{who} {texts}".encode()).hexdigest()


def classifier_of(checkpoint: str) -> tuple[Any, torch.nn.Module]:
    """A classifier, and transformers' tokenizer of it. Raises CheckpointError for one that cannot be loaded."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(located(checkpoint))
        if is_foreign(checkpoint):
            with without_warnings():  # what is missing is told in a line below
                model, info = AutoModelForSequenceClassification.from_pretrained(checkpoint, output_loading_info=True)
            if info["missing_keys"]:
                lacks = ", ".join(sorted(info["missing_keys"]))
                raise CheckpointError(f"teacher {checkpoint} is no classifier: it lacks {lacks}; fine-tune it first")
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
