"""Other BERTs of transformers: fine-tuned as they are, to be a teacher of labels, or what a student is measured by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import CONFIGS
from mbert_onnx.reference import located
from mbert_onnx.text.tasks import QUESTION_ANSWERING, Task


def is_foreign(checkpoint: str | Path) -> bool:
    """Whether a folder's config names another architecture than ours. A hub id is taken for ours."""
    config = located(checkpoint) / "config.json"
    try:
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        return False  # what is wrong is told where it is read
    return kind is not None and kind not in CONFIGS


@contextmanager
def without_warnings() -> Iterator[None]:
    """transformers says errors alone."""
    import transformers

    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)


def foreign_model(checkpoint: str, task: Task, labels: tuple[str, ...] | None) -> nn.Module:
    """transformers' own class for a task, with a new head; `labels` as `finetuned_model` takes them.

    Raises CheckpointError where transformers cannot load it.
    """
    import transformers

    options = {}
    if labels is not None:
        options["num_labels"] = len(labels) or 1
    if labels:
        options["id2label"] = dict(enumerate(labels))  # type: ignore[assignment]
        options["label2id"] = {label: number for number, label in enumerate(labels)}  # type: ignore[assignment]
    kind = (
        transformers.AutoModelForQuestionAnswering
        if task is QUESTION_ANSWERING
        else transformers.AutoModelForSequenceClassification
    )
    try:
        with without_warnings():  # that the head is new is what is asked for
            model = kind.from_pretrained(checkpoint, ignore_mismatched_sizes=True, **options)
    except Exception as error:  # of transformers' many
        raise CheckpointError(f"{checkpoint} cannot be loaded ({' '.join(str(error).split())})") from error
    assert isinstance(model, nn.Module)
    return model
