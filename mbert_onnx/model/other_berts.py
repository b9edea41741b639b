"""Other BERTs of transformers: fine-tuned as teachers of classifiers, or evaluated for comparison with a student."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint_files.config_file import CONFIGS
from mbert_onnx.model.checkpoint_tokenizer.loading import without_warnings
from mbert_onnx.reference import located
from mbert_onnx.text.json_files import read_json
from mbert_onnx.text.tasks import QUESTION_ANSWERING, Task


def is_other_bert(checkpoint: str | Path) -> bool:
    """Returns whether the config in a folder names another architecture than MobileBERT. False for a hub id."""
    config = located(checkpoint) / "config.json"
    try:
        kind = read_json(config).get("model_type")
    except (OSError, ValueError, AttributeError):
        return False  # the error is raised where the checkpoint is read
    return kind is not None and kind not in CONFIGS


def other_bert_model(checkpoint: str, task: Task, labels: tuple[str, ...] | None) -> nn.Module:
    """Loads transformers' own class for a task, with a new head; `labels` as in `finetuned_model`.

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
        with without_warnings():  # the warning that the head is new: it is meant to be
            model = kind.from_pretrained(checkpoint, ignore_mismatched_sizes=True, **options)
    except Exception as error:  # transformers raises many classes
        raise CheckpointError(f"{checkpoint} cannot be loaded ({' '.join(str(error).split())})") from error
    assert isinstance(model, nn.Module)
    return model
