"""Predictions of a classification or regression model, in the label numbers of the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbert_onnx.errors import UsageError
from mbert_onnx.text.encoder import Row
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.training.data.example import Example
from mbert_onnx.training.evaluation.evaluated_model import EvaluatedModel


def rows_of(model: EvaluatedModel, examples: Sequence[Example]) -> tuple[list[Row], int]:
    """Returns the rows of examples, by the model's tokenizer, and the number of truncated ones."""
    found = [model.encoder.truncated(example.text, example.pair) for example in examples]
    return [row for row, _ in found], sum(cut for _, cut in found)


def logits_of(model: EvaluatedModel, rows: Sequence[Row]) -> np.ndarray:
    """Computes the logits ``[texts, labels]``, float32."""
    logits: list[np.ndarray | None] = [None] * len(rows)
    for number, [values] in model.run(rows, "logits"):
        logits[number] = values
    return np.stack([values for values in logits if values is not None])


def predictions_of(model: EvaluatedModel, logits: np.ndarray, labels: tuple[str, ...] | None) -> np.ndarray:
    """Returns the label numbers of the data ``[texts]``, or the scores of a regression.

    The model's labels are matched with the data's by name if the names are the same, else by number.

    Raises UsageError if the numbers of labels differ.
    """
    if labels is None:
        if logits.shape[1] != 1:
            raise UsageError(f"{model.name} has {logits.shape[1]} labels; expected 1 for a regression")
        return logits[:, 0].astype(np.float64)
    if logits.shape[1] != len(labels):
        raise UsageError(
            f"{model.name} has {logits.shape[1]} labels, the data has {len(labels)}: {name_list(labels)}; "
            "give a model for this task"
        )
    return np.array(order_of(model.labels, labels))[logits.argmax(axis=1)]


def order_of(own: Sequence[str] | None, labels: Sequence[str]) -> list[int]:
    """Returns for each label of the model its number in the data."""
    plain = [label.lower() for label in labels]
    named = [label.lower() for label in own or ()]
    if sorted(named) == sorted(plain):
        return [plain.index(label) for label in named]
    return list(range(len(labels)))
