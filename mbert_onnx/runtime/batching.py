"""Batching: rows of token ids are padded and run in batches, and each row's outputs are cut to its own length.

The session's inputs decide the format: which of them exist, int64 or int32, dynamic or fixed axes.

Rows share a run only where that does not change their outputs. It does in some files: a trigram reads the embedding of
padding after a text's last token, and dynamic quantization has one step for all tokens of a run. So a session is tried
on a few tokens once, before its first run of several rows. In a file of fixed length every row is padded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum
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

# Tokens of the rows on which a session is tried.
TRIED_TOKENS = 16

# Largest change of an output, relative to its largest number, that counts as rounding.
ROUNDING = 1e-4


class Sharing(Enum):
    """Rule for the rows that may share a run."""

    NONE = "none"
    EQUAL_LENGTH = "equal length"
    ALL = "all"


class RowRunner:
    """Runs rows through a session, in batches of the size that it takes."""

    def __init__(self, session: Any, task: Task, inputs: Inputs, pad_token_id: int, file_name: str) -> None:
        self._session = session
        self._task = task
        self._inputs = inputs
        self._pad_token_id = pad_token_id
        self._file_name = file_name
        self._output_names = {node.name for node in session.get_outputs()}
        self._sharing: Sharing | None = None  # until it is tried

    def run(self, rows: Sequence[Row], *outputs: str) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Yields each row's index and its part of each output, shortest rows first.

        The parts are float32, without the batch and choices axes, and without padding on the sequence axis:
        `[labels]`, `[tokens]`, `[tokens, vocab]`, or a scalar for a choice. Raises BundleError if onnxruntime fails.
        """
        for numbers in self._batches(rows):
            yield from zip(numbers, self._outputs([rows[number] for number in numbers], outputs), strict=True)

    def _outputs(self, rows: Sequence[Row], outputs: Sequence[str]) -> list[list[np.ndarray]]:
        """Returns the part of each output that belongs to each row of one run."""
        per_token = ["sequence" in self._task.axes(output) for output in outputs]
        try:
            values = self._session.run(list(outputs), self.feed(rows))
        except Exception as error:  # onnxruntime's exceptions have no common base class
            raise BundleError(session_error("run", self._file_name, error)) from error
        if self._task.has_choices:
            values = [value.reshape(-1) for value in values]
        return [
            [
                np.asarray(value[place, : len(row)] if cut else value[place], dtype=np.float32)
                for value, cut in zip(values, per_token, strict=True)
            ]
            for place, row in enumerate(rows)
        ]

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Yields the indices of rows that run together: rows of similar length, to keep padding short."""
        order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        size, batch = self._slots, list[int]()
        sharing = Sharing.NONE
        if size > 1 and len(rows) > 1:
            if self._sharing is None:
                self._sharing = self._try(rows[order[0]], rows[order[-1]])
            sharing = self._sharing
        for number in order:
            shares = sharing is Sharing.ALL or (
                sharing is Sharing.EQUAL_LENGTH and batch and len(rows[number]) == len(rows[batch[0]])
            )
            if batch and (len(batch) == size or not shares):
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch

    def _try(self, first: Row, last: Row) -> Sharing:
        """Tries which rows may share a run, on parts of two rows, in a few short runs.

        Without a mask, padding is read as text, and changes the outputs even where this trial does not show it.
        """
        long = Row(last.ids[-TRIED_TOKENS:], last.type_ids[-TRIED_TOKENS:])
        half = max(len(long) // 2, 1)
        short = Row(first.ids[:half], first.type_ids[:half])
        if self._inputs.sequence is not None:
            return Sharing.ALL if self._is_unchanged_by_sharing(short, long) else Sharing.NONE
        # Backwards, to differ from the short one where all rows are equal.
        other = Row(long.ids[: -len(short) - 1 : -1], short.type_ids)
        if not self._is_unchanged_by_sharing(short, other):
            return Sharing.NONE
        masked = "attention_mask" in self._inputs.names
        return Sharing.ALL if masked and self._is_unchanged_by_sharing(short, long) else Sharing.EQUAL_LENGTH

    def _is_unchanged_by_sharing(self, *rows: Row) -> bool:
        """Returns whether the outputs of all rows are the same in one run as alone, except for rounding.

        A file may declare a dynamic batch, and run with one row only.
        """
        names = [output.name for output in self._task.outputs if output.name in self._output_names]
        # Copies: a session may use the same memory for its next run.
        alone = [[part.copy() for part in self._outputs([row], names)[0]] for row in rows]
        try:
            return all(map(_same, self._outputs(rows, names), alone))
        except BundleError:
            return False

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


def _same(found: Sequence[np.ndarray], alone: Sequence[np.ndarray]) -> bool:
    """Returns whether outputs differ by rounding only."""
    return all(
        bool(np.abs(a - b).max(initial=0.0) <= ROUNDING * np.abs(b).max(initial=0.0))
        for a, b in zip(found, alone, strict=True)
    )
