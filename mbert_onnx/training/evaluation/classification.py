"""Labels, or scores, of texts: what a contestant says, as the task counts it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbert_onnx.errors import UsageError
from mbert_onnx.text.encoder import Row
from mbert_onnx.training.data.example import Example
from mbert_onnx.training.evaluation.contestant import Contestant


def rows_of(contestant: Contestant, examples: Sequence[Example]) -> tuple[list[Row], int]:
    """The rows of examples, by the contestant's own tokenizer, and how many lost their end."""
    found = [contestant.encoder.truncated(example.text, example.pair) for example in examples]
    return [row for row, _ in found], sum(cut for _, cut in found)


def logits_of(contestant: Contestant, rows: Sequence[Row]) -> np.ndarray:
    """``[texts, labels]``, float32."""
    logits: list[np.ndarray | None] = [None] * len(rows)
    for number, [values] in contestant.run(rows, "logits"):
        logits[number] = values
    return np.stack([values for values in logits if values is not None])


def predictions_of(contestant: Contestant, logits: np.ndarray, labels: tuple[str, ...] | None) -> np.ndarray:
    """The numbers of labels, ``[texts]``, as the data counts them; of a regression, the scores.

    A model's labels are the data's where they have the same names, in whatever order; else they are taken by number.

    Raises UsageError where there are not as many.
    """
    if labels is None:
        if logits.shape[1] != 1:
            raise UsageError(f"{contestant.name} has {logits.shape[1]} labels; expected 1, a regression's")
        return logits[:, 0].astype(np.float64)
    if logits.shape[1] != len(labels):
        raise UsageError(
            f"{contestant.name} has {logits.shape[1]} labels, the data has {len(labels)}: {', '.join(labels)}; "
            "give a model for this task"
        )
    return np.array(order_of(contestant.labels, labels))[logits.argmax(axis=1)]


def order_of(own: Sequence[str] | None, labels: Sequence[str]) -> list[int]:
    """For each of a model's labels its number in the data."""
    plain = [label.lower() for label in labels]
    named = [label.lower() for label in own or ()]
    if sorted(named) == sorted(plain):
        return [plain.index(label) for label in named]
    return list(range(len(labels)))
