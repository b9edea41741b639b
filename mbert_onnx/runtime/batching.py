"""Rows of token ids through a session: padded, batched, and each row's outputs cut back to its own length.

A session says what it wants by its inputs: which of them it has, int64 or int32, dynamic or fixed axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mbert_onnx.bundles.inputs import Inputs, first_line
from mbert_onnx.errors import BundleError
from mbert_onnx.text.encoder import Row
from mbert_onnx.text.tasks import Task

# Where the batch is dynamic: a CPU gains little beyond a few rows, and the vocabulary's logits for one row of 512
# tokens are 62 MB already.
ROWS_PER_RUN = 8


class RowRunner:
    """Runs rows through a session, as many at a time as it takes."""

    def __init__(self, session: Any, task: Task, inputs: Inputs, pad_token_id: int, file_name: str) -> None:
        self._session = session
        self._task = task
        self._inputs = inputs
        self._pad_token_id = pad_token_id
        self._file_name = file_name

    def run(self, rows: Sequence[Row], *outputs: str) -> Iterator[tuple[int, list[np.ndarray]]]:
        """For each row its number and its part of each output, in whatever order of rows is cheap.

        What is yielded is float32, without the batch axis (and without that of choices), and without the padding where
        it has a sequence axis: `[labels]`, `[tokens]`, `[tokens, vocab]`, or a single number for choices. Raises
        BundleError where onnxruntime fails.
        """
        per_token = ["sequence" in self._task.axes(output) for output in outputs]
        for numbers in self._batches(rows):
            feeds = self.feed([rows[number] for number in numbers])
            try:
                values = self._session.run(list(outputs), feeds)
            except Exception as error:  # onnxruntime's exceptions share no base of their own
                raise BundleError(
                    f"onnxruntime cannot run {self._file_name}: {first_line(error)} Export it again."
                ) from error
            if self._task.has_choices:
                values = [value.reshape(-1) for value in values]
            for place, number in enumerate(numbers):
                length = len(rows[number])
                parts = [
                    value[place, :length] if cut else value[place] for value, cut in zip(values, per_token, strict=True)
                ]
                yield number, [np.asarray(part, dtype=np.float32) for part in parts]

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Numbers of rows that run together: of like length, so that little is padding."""
        order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        size = self._slots
        # Padding that no mask hides would be read as text.
        mixed = "attention_mask" in self._inputs.names or self._inputs.sequence is not None
        batch: list[int] = []
        for number in order:
            if batch and (len(batch) == size or not (mixed or len(rows[number]) == len(rows[batch[0]]))):
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch

    @property
    def _slots(self) -> int:
        """How many rows fit in one run: choices are rows, too, since each is scored without the others."""
        if self._task.has_choices:
            return (self._inputs.batch or 1) * (self._inputs.choices or ROWS_PER_RUN)
        return self._inputs.batch or ROWS_PER_RUN

    def _leading_shape(self, count: int) -> tuple[int, ...]:
        """The axes before that of the sequence, for `count` rows: `(batch,)` or `(batch, choices)`."""
        if self._task.has_choices:
            batch = self._inputs.batch or 1
            return batch, self._inputs.choices or math.ceil(count / batch)
        return (self._inputs.batch or count,)

    def feed(self, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """The inputs of one run, each `[batch, sequence]` or `[batch, choices, sequence]`."""
        inputs = self._inputs
        shape = self._leading_shape(len(rows))
        # A fixed batch is filled up with a row that is there already: one without any token need not stay finite.
        filled = [*rows] + [rows[-1]] * (math.prod(shape) - len(rows))
        length = inputs.sequence or max(map(len, rows))
        arrays = {
            "input_ids": np.full((len(filled), length), self._pad_token_id, inputs.dtype),
            "attention_mask": np.zeros((len(filled), length), inputs.dtype),
            "token_type_ids": np.zeros((len(filled), length), inputs.dtype),
        }
        for place, row in enumerate(filled):
            arrays["input_ids"][place, : len(row)] = row.ids
            arrays["attention_mask"][place, : len(row)] = 1
            arrays["token_type_ids"][place, : len(row)] = row.type_ids
        return {name: arrays[name].reshape(*shape, length) for name in inputs.names}
