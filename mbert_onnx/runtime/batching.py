"""Batching: rows of token ids are padded and run in batches, and each row's outputs are cut to its own length.

The session's inputs decide the format: which of them exist, int64 or int32, dynamic or fixed axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mbert_onnx.bundles.inputs import Inputs
from mbert_onnx.bundles.session_errors import session_error
from mbert_onnx.errors import BundleError
from mbert_onnx.text.encoder import Row
from mbert_onnx.text.tasks import Task

# Rows per run for a dynamic batch: larger batches gain little on a CPU, and the vocabulary logits of one row of 512
# tokens already take 62 MB.
ROWS_PER_RUN = 8


class RowRunner:
    """Runs rows through a session, in batches of the size that it takes."""

    def __init__(self, session: Any, task: Task, inputs: Inputs, pad_token_id: int, file_name: str) -> None:
        self._session = session
        self._task = task
        self._inputs = inputs
        self._pad_token_id = pad_token_id
        self._file_name = file_name

    def run(self, rows: Sequence[Row], *outputs: str) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Yields each row's index and its part of each output, shortest rows first.

        The parts are float32, without the batch and choices axes, and without padding on the sequence axis:
        `[labels]`, `[tokens]`, `[tokens, vocab]`, or a scalar for a choice. Raises BundleError if onnxruntime fails.
        """
        per_token = ["sequence" in self._task.axes(output) for output in outputs]
        for numbers in self._batches(rows):
            feeds = self.feed([rows[number] for number in numbers])
            try:
                values = self._session.run(list(outputs), feeds)
            except Exception as error:  # onnxruntime's exceptions have no common base class
                raise BundleError(session_error("run", self._file_name, error)) from error
            if self._task.has_choices:
                values = [value.reshape(-1) for value in values]
            for place, number in enumerate(numbers):
                length = len(rows[number])
                parts = [
                    value[place, :length] if cut else value[place] for value, cut in zip(values, per_token, strict=True)
                ]
                yield number, [np.asarray(part, dtype=np.float32) for part in parts]

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Yields the indices of rows that run together: rows of similar length, to keep padding short."""
        order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        size = self._slots
        # Without a mask, padding would be read as text, so only rows of equal length share a batch.
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
        """Number of rows in one run. Each choice is a row, since choices are scored independently."""
        if self._task.has_choices:
            return (self._inputs.batch or 1) * (self._inputs.choices or ROWS_PER_RUN)
        return self._inputs.batch or ROWS_PER_RUN

    def _leading_shape(self, count: int) -> tuple[int, ...]:
        """Returns the shape before the sequence axis for `count` rows: `(batch,)` or `(batch, choices)`."""
        if self._task.has_choices:
            batch = self._inputs.batch or 1
            return batch, self._inputs.choices or math.ceil(count / batch)
        return (self._inputs.batch or count,)

    def feed(self, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """Returns the inputs of one run, each `[batch, sequence]` or `[batch, choices, sequence]`."""
        inputs = self._inputs
        shape = self._leading_shape(len(rows))
        # A fixed batch is filled by repeating the last row: a fully masked row could give NaN.
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
        return inputs.typed({name: array.reshape(*shape, length) for name, array in arrays.items()})
