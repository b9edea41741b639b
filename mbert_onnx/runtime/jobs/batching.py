"""Batching: rows of token ids are padded and run in batches, and each row's outputs are cut to its own length.

The session's inputs decide the format: which of them exist, int64 or int32, dynamic or fixed axes. Any object with
onnxruntime's `get_inputs`, `get_outputs` and `run` is a session here, so that other runtimes use the same batches.

Rows are sorted by length and share a run up to a number of padded tokens, and only where that does not change their
outputs. It does in some files: a trigram reads the embedding of padding after a text's last token, and dynamic
quantization has one step for all tokens of a run. So a session is tried on a few tokens once, before its first run of
several rows. In a file of fixed length every row is padded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from time import perf_counter
from typing import Any

import numpy as np

from mbert_onnx.bundles.inputs import Inputs
from mbert_onnx.bundles.session_errors import session_error
from mbert_onnx.errors import BundleError
from mbert_onnx.runtime.jobs.statistics import BatchStatistics
from mbert_onnx.text.encoder import Row
from mbert_onnx.text.tasks import Task

# Padded tokens of a run with dynamic axes. Best for reviews and SQuAD paragraphs with `reference` and a full-size int8
# file, with one thread and two; 256 to 1,024 are within 7 %. Fewer read the weights more often, and the activations of
# more than 2,048 leave the caches. Logits of the vocabulary for 512 tokens take 62 MB.
TOKENS_PER_RUN = 512

# Tokens of the rows on which a session is tried.
TRIED_TOKENS = 16

# Largest change of an output, relative to its largest number, that counts as rounding.
ROUNDING = 1e-4


class Sharing(Enum):
    """Rule for the rows that may share a run."""

    NONE = "none"
    EQUAL_LENGTH = "equal length"
    ALL = "all"


@dataclass(frozen=True)
class RowBatch:
    """Outputs of one run, valid until the session's next run.

    Args:
        numbers: The numbers of its rows.
        lengths: Their tokens.
        values: One array per output, `[rows, ...]`, padded on the sequence axis; longer where a fixed batch was filled.
        per_token: For each output whether its second axis is the sequence.
    """

    numbers: list[int]
    lengths: list[int]
    values: list[np.ndarray]
    per_token: list[bool]

    def rows(self) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Yields each row's number and its part of each output, float32, without padding."""
        outputs = list(zip(self.values, self.per_token, strict=True))
        for place, (number, length) in enumerate(zip(self.numbers, self.lengths, strict=True)):
            yield (
                number,
                [np.asarray(value[place, :length] if cut else value[place], np.float32) for value, cut in outputs],
            )


class RowRunner:
    """Runs rows through a session, in batches of the size that it takes.

    Args:
        session, task, inputs, pad_token_id, file_name: The session, and what is known of its file.
        tokens_per_run: Padded tokens of a run with dynamic axes; None for the default.
        sharing: The rows that share a run; None: those whose outputs it does not change, as a trial shows.
    """

    def __init__(
        self,
        session: Any,
        task: Task,
        inputs: Inputs,
        pad_token_id: int,
        file_name: str,
        *,
        tokens_per_run: int | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        self._session = session
        self._task = task
        self._inputs = inputs
        self._pad_token_id = pad_token_id
        self._file_name = file_name
        self._tokens_per_run = tokens_per_run
        self._given_sharing = sharing
        self._tried_sharing: dict[tuple[str, ...], Sharing] = {}  # for the outputs with which it was tried

    def run(self, rows: Sequence[Row], *outputs: str) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Yields each row's index and its part of each output, shortest rows first.

        The parts are float32, without the batch and choices axes, and without padding on the sequence axis:
        `[labels]`, `[tokens]`, `[tokens, vocab]`, or a scalar for a choice. Raises BundleError if onnxruntime fails.
        """
        for batch in self.batches(rows, outputs):
            yield from batch.rows()

    def batches(
        self, rows: Sequence[Row], outputs: Sequence[str], statistics: BatchStatistics | None = None
    ) -> Iterator[RowBatch]:
        """Yields the outputs of each run, shortest rows first; adds to the statistics.

        Raises BundleError if onnxruntime fails.
        """
        statistics = BatchStatistics() if statistics is None else statistics
        start = perf_counter()
        for numbers in self._numbers_of_batches(rows, outputs):
            chosen = [rows[number] for number in numbers]
            feeds = self.feed(chosen)
            fed = perf_counter()
            values = self._run(feeds, outputs)
            ran = perf_counter()
            lengths = [len(row) for row in chosen]
            statistics.batching += fed - start
            statistics.model += ran - fed
            statistics.runs += 1
            statistics.rows += len(numbers)
            statistics.tokens += sum(lengths)
            statistics.padded_tokens += feeds["input_ids"].size
            yield RowBatch(numbers, lengths, values, self._per_token(outputs))
            start = perf_counter()

    def feed(self, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """Returns the inputs of one run, each `[batch, sequence]` or `[batch, choices, sequence]`."""
        inputs = self._inputs
        shape = self._leading_shape(len(rows))
        # A fixed batch is filled by repeating the last row: a fully masked row could give NaN.
        filled = [*rows] + [rows[-1]] * (math.prod(shape) - len(rows))
        lengths = np.fromiter(map(len, filled), np.intp, len(filled))
        length = inputs.sequence or int(lengths.max())
        is_token = np.arange(length) < lengths[:, None]
        tokens = int(lengths.sum())
        ids = np.full(is_token.shape, self._pad_token_id, inputs.dtype)
        ids[is_token] = np.fromiter(chain.from_iterable(row.ids for row in filled), inputs.dtype, tokens)
        types = np.zeros(is_token.shape, inputs.dtype)
        if any(any(row.type_ids) for row in rows):
            types[is_token] = np.fromiter(chain.from_iterable(row.type_ids for row in filled), inputs.dtype, tokens)
        arrays = {"input_ids": ids, "attention_mask": is_token, "token_type_ids": types}
        return inputs.typed({name: array.reshape(*shape, length) for name, array in arrays.items()})

    def _run(self, feeds: dict[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Returns the outputs of one run, without the choices axis."""
        try:
            values = self._session.run(list(outputs), feeds)
        except Exception as error:  # onnxruntime's exceptions have no common base class
            raise BundleError(session_error("run", self._file_name, error)) from error
        return [value.reshape(-1) for value in values] if self._task.has_choices else list(values)

    def _per_token(self, outputs: Sequence[str]) -> list[bool]:
        return ["sequence" in self._task.axes(output) for output in outputs]

    def outputs(self, rows: Sequence[Row], outputs: Sequence[str]) -> list[list[np.ndarray]]:
        """Returns the part of each output that belongs to each row of one run."""
        lengths = [len(row) for row in rows]
        values = self._run(self.feed(rows), outputs)
        batch = RowBatch(list(range(len(rows))), lengths, values, self._per_token(outputs))
        return [parts for _, parts in batch.rows()]

    def _numbers_of_batches(self, rows: Sequence[Row], outputs: Sequence[str]) -> Iterator[list[int]]:
        """Yields the indices of rows that run together: rows of similar length, to keep padding short."""
        order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        most, budget = self._slots, self._tokens_per_run or TOKENS_PER_RUN
        batch = list[int]()
        sharing = Sharing.NONE
        if most != 1 and len(rows) > 1:
            sharing = self._given_sharing or self.sharing(rows[order[0]], rows[order[-1]], outputs)
        for number in order:
            length = len(rows[number])
            shares = sharing is Sharing.ALL or (
                sharing is Sharing.EQUAL_LENGTH and batch and length == len(rows[batch[0]])
            )
            is_full = len(batch) == most if most else (len(batch) + 1) * (self._inputs.sequence or length) > budget
            if batch and (is_full or not shares):
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch

    def sharing(self, first: Row, last: Row, outputs: Sequence[str]) -> Sharing:
        """Returns which rows may share a run for these outputs; tries it on parts of two rows at the first call.

        Another output may depend on the rows of a run where these do not, as a pooler's.
        """
        key = tuple(outputs)
        if key not in self._tried_sharing:
            self._tried_sharing[key] = self._try(first, last, outputs)
        return self._tried_sharing[key]

    def _try(self, first: Row, last: Row, outputs: Sequence[str]) -> Sharing:
        """Tries which rows may share a run, in a few short runs.

        Without a mask, padding is read as text, and changes the outputs even where this trial does not show it.
        """
        long = Row(last.ids[-TRIED_TOKENS:], last.type_ids[-TRIED_TOKENS:])
        half = max(len(long) // 2, 1)
        short = Row(first.ids[:half], first.type_ids[:half])
        if self._inputs.sequence is not None:
            return Sharing.ALL if self._is_unchanged_by_sharing(outputs, short, long) else Sharing.NONE
        # Backwards, to differ from the short one where all rows are equal.
        other = Row(long.ids[: -len(short) - 1 : -1], short.type_ids)
        if not self._is_unchanged_by_sharing(outputs, short, other):
            return Sharing.NONE
        masked = "attention_mask" in self._inputs.names
        is_free = masked and self._is_unchanged_by_sharing(outputs, short, long)
        return Sharing.ALL if is_free else Sharing.EQUAL_LENGTH

    def _is_unchanged_by_sharing(self, outputs: Sequence[str], *rows: Row) -> bool:
        """Returns whether the outputs of all rows are the same in one run as alone, except for rounding.

        A file may declare a dynamic batch, and run with one row only.
        """
        # Copies: a session may use the same memory for its next run.
        alone = [[part.copy() for part in self.outputs([row], outputs)[0]] for row in rows]
        try:
            return all(map(_same, self.outputs(rows, outputs), alone))
        except BundleError:
            return False

    @property
    def _slots(self) -> int | None:
        """Number of rows in one run; None where a number of tokens decides. Each choice is a row."""
        if self._task.has_choices:
            return (self._inputs.batch or 1) * self._inputs.choices if self._inputs.choices else None
        return self._inputs.batch

    def _leading_shape(self, count: int) -> tuple[int, ...]:
        """Returns the shape before the sequence axis for `count` rows: `(batch,)` or `(batch, choices)`."""
        if self._task.has_choices:
            batch = self._inputs.batch or 1
            return batch, self._inputs.choices or math.ceil(count / batch)
        return (self._inputs.batch or count,)


def _same(found: Sequence[np.ndarray], alone: Sequence[np.ndarray]) -> bool:
    """Returns whether outputs differ by rounding only."""
    return all(
        bool(np.abs(a - b).max(initial=0.0) <= ROUNDING * np.abs(b).max(initial=0.0))
        for a, b in zip(found, alone, strict=True)
    )
