"""Limits of a text model's inputs: what its config or its graph say, narrowed to what it runs with.

Neither says all: an exporter may have fixed the batch or the length inside of the graph, although the inputs declare
them as dynamic, and the rows of a table may be out of sight. So the limits are tried.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from graphs.execution.inputs.declared import DeclaredInput, ids_among
from graphs.execution.inputs.shapes import CHOICES, constant_feed
from graphs.execution.types import Runner
from graphs.ir.text_inputs import TYPES
from graphs.model.embeddings import FEWEST_ROWS, rows_of

# MobileBERT's number of positions: longer texts are not tried.
MOST_TOKENS = 512

# More token ids than any vocabulary has, to be narrowed by trials where a graph's table is not found.
MOST_WORDS = 2**20

# Token types of BERT: the first and the second text.
SEGMENTS = 2

# Lengths that are tried first: usual fixed lengths, and short ones for models of few positions. An axis of size 1 is
# tried last: a graph that is fixed at another size may run with it, because ONNX broadcasts it to that size.
USUAL_LENGTHS = (8, 64, 128, 16, 32, 256, 384, 512, 4)
USUAL_BATCHES = (1, 2, 3, 4, 8)
USUAL_CHOICES = (2, 4, 3, 5, 1)

# A batch and a length that no fixed size or multiple is likely to be.
ODD_BATCH, ODD_LENGTH = 3, 7

# Multiples that the length of a graph may have to be.
STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

# A search for sizes that run takes no longer than this. A file of full size needs about 0.1 s at most lengths.
SEARCH_SECONDS = 10.0


@dataclass(frozen=True)
class InputLimits:
    """Inputs that a text model takes.

    Args:
        vocab_size: Exclusive upper bound of its token ids.
        segments: Exclusive upper bound of its token types: 1 for a model with one segment.
        lengths: Lengths in tokens: `range(1, 513)`, `range(8, 513, 8)` for multiples of 8, `range(64, 65)` for 64 only.
        batch: The only batch that it takes; None for any.
        choices: The only number of choices that it takes; None for any, and for a model without choices.
    """

    vocab_size: int = FEWEST_ROWS
    segments: int = SEGMENTS
    lengths: range = range(1, MOST_TOKENS + 1)
    batch: int | None = None
    choices: int | None = None

    @property
    def longest(self) -> int:
        """The largest length."""
        return self.lengths[-1]

    @property
    def length(self) -> int | None:
        """The only length; None where there are several."""
        return self.lengths[0] if len(self.lengths) == 1 else None

    def fit(self, length: int) -> int:
        """Returns the smallest length that holds this many tokens; the largest one where none does."""
        place = bisect_left(self.lengths, length)
        return self.lengths[min(place, len(self.lengths) - 1)]

    def within(self, other: InputLimits) -> InputLimits | None:
        """Returns the inputs that both take; None where there is no length, batch or number of choices for both."""
        lengths = _common(self.lengths, other.lengths)
        for one, two in ((self.batch, other.batch), (self.choices, other.choices)):
            if None not in (one, two) and one != two:
                return None
        if lengths is None:
            return None
        return InputLimits(
            min(self.vocab_size, other.vocab_size),
            min(self.segments, other.segments),
            lengths,
            self.batch or other.batch,
            self.choices or other.choices,
        )

    @classmethod
    def declared(
        cls, inputs: Sequence[DeclaredInput], *, vocab_size: int, segments: int = SEGMENTS, positions: int = MOST_TOKENS
    ) -> InputLimits:
        """Returns the limits of a text model with these inputs: the sizes that they fix, and those of its config."""
        ids = ids_among(inputs)
        batch, *choices, length = (None, None) if ids is None else ids.shape
        lengths = range(length, length + 1) if isinstance(length, int) else range(1, positions + 1)
        fixed = [size for size in choices if isinstance(size, int)]
        return cls(
            vocab_size, segments, lengths, batch if isinstance(batch, int) else None, fixed[0] if fixed else None
        )

    @classmethod
    def of_graph(cls, model: ir.Model, inputs: Sequence[DeclaredInput], positions: int = MOST_TOKENS) -> InputLimits:
        """Returns the limits that can be read from a graph: fixed sizes, and the rows of its tables."""
        words, types = rows_of(model.graph), rows_of(model.graph, TYPES)
        segments = min(types or SEGMENTS, SEGMENTS)
        return cls.declared(inputs, vocab_size=words or FEWEST_ROWS, segments=segments, positions=positions)


def tried_limits(inputs: Sequence[DeclaredInput], run: Runner, expected: InputLimits) -> InputLimits:
    """Returns the expected limits, narrowed to what a model runs with.

    If it runs with a large batch, the longest text and the last id, nothing is narrowed. Otherwise a search starts from
    the smallest ids: a batch and a length that run; then each limit on its own.

    Args:
        inputs: The inputs that it declares; `input_ids` is one of them.
        run: Runs it; raises any exception for inputs that it does not take.
        expected: The limits that its config, or its graph, has.

    Raises the model's own error where it runs with no inputs that were tried.
    """
    return _Trials(inputs, run, expected).limits()


@dataclass
class _Trials:
    """Trial runs of one model. A trial is a batch, a length and a number of choices, with one id and one token type."""

    inputs: Sequence[DeclaredInput]
    run: Runner
    expected: InputLimits
    error: Exception | None = None
    _seen: dict[tuple[int, int, int, int, int], bool] = field(default_factory=dict)

    def limits(self) -> InputLimits:
        expected = self.expected
        last, other_type = expected.vocab_size - 1, expected.segments - 1
        batch, choices = expected.batch or ODD_BATCH, expected.choices or CHOICES
        if self._runs(batch, expected.fit(ODD_LENGTH), choices, last, other_type) and (
            self._runs(expected.batch or 1, expected.longest, choices, last, other_type)
        ):
            return expected
        batch, length, choices = self._first_that_runs()
        found = replace(expected, choices=expected.choices or self._only_choices(batch, length, choices))
        found = replace(found, batch=expected.batch or self._only_batch(batch, length, choices))
        found = replace(found, lengths=self._lengths(batch, length, choices))
        word = _last(range(last + 1), lambda token: self._runs(batch, length, choices, token))
        kind = _last(range(other_type + 1), lambda kind: self._runs(batch, length, choices, 0, kind))
        return replace(found, vocab_size=word + 1, segments=kind + 1)

    def _runs(self, batch: int, length: int, choices: int, token: int = 0, kind: int = 0) -> bool:
        key = (batch, length, choices, token, kind)
        if key not in self._seen:
            try:
                outputs = self.run(constant_feed(self.inputs, batch, length, choices, token=token, kind=kind))
                texts = {batch, batch * choices} if self._has_choices else {batch}
                self._seen[key] = _has_rows(outputs, texts | {rows * length for rows in texts})
            except Exception as error:  # onnxruntime's errors have no common class
                self.error = self.error or error
                self._seen[key] = False
        return self._seen[key]

    @property
    def _has_choices(self) -> bool:
        ids = ids_among(self.inputs)
        return ids is not None and len(ids.shape) > 2

    def _first_that_runs(self) -> tuple[int, int, int]:
        """Returns a batch, a length and a number of choices that run; a length of 1 only where no other one runs."""
        expected, started = self.expected, time.monotonic()
        batches = (expected.batch,) if expected.batch else USUAL_BATCHES
        numbers = (expected.choices,) if expected.choices else USUAL_CHOICES
        if not self._has_choices:
            numbers = numbers[:1]
        usual = [length for length in USUAL_LENGTHS if length in expected.lengths] or [expected.longest]
        others = [length for length in expected.lengths if length not in (1, *usual)]
        pairs = [(batch, choices) for batch in batches for choices in numbers]

        def first(pairs: Sequence[tuple[int, int]], lengths: Sequence[int]) -> tuple[int, int, int] | None:
            for batch, choices in pairs:
                for length in lengths:
                    if self._runs(batch, length, choices):
                        return batch, length, choices
                    if time.monotonic() - started > SEARCH_SECONDS:
                        return None
            return None

        found = first(pairs, usual)
        if found is None:
            # Where one token runs, perhaps by broadcasting, its batch is the one for the other lengths.
            single = first(pairs, [1]) if 1 in expected.lengths else None
            found = first(pairs if single is None else [(single[0], single[2])], others) or single
        if found is not None:
            return found
        raise self.error or ValueError(f"none of its outputs has a row for each text of {self.inputs[0].name}")

    def _only_batch(self, batch: int, length: int, choices: int) -> int | None:
        others = [other for other in (ODD_BATCH, 2) if other != batch]
        return None if batch == 1 and all(self._runs(other, length, choices) for other in others) else batch

    def _only_choices(self, batch: int, length: int, choices: int) -> int | None:
        if not self._has_choices:
            return None
        return None if self._runs(batch, length, choices + 1) else choices

    def _lengths(self, batch: int, length: int, choices: int) -> range:
        """Returns the lengths that run, from one that does."""

        def runs(other: int) -> bool:
            return other in self.expected.lengths and self._runs(batch, other, choices)

        def is_step(step: int) -> bool:
            # One token alone proves nothing: it may be broadcast to the only length that the graph computes with.
            return runs(length + step) or (length - step != 1 and runs(length - step))

        step = next((step for step in STEPS if is_step(step)), None)
        if step is None:
            return range(length, length + 1)
        longest = _last(range(length, self.expected.longest + 1, step), runs)
        shortest = _last(range(length, 0, -step), runs)
        return range(shortest, longest + 1, step)


def _has_rows(outputs: Mapping[str, np.ndarray], rows: Collection[int]) -> bool:
    """Returns whether an output has as many rows as there are texts or tokens.

    A graph that was exported for a batch of 1 may read several texts as one.
    """
    return any(array.ndim and array.shape[0] in rows for array in outputs.values())


def _last(values: range, runs: Callable[[int], bool]) -> int:
    """Returns the last of the values that run, of which the first does, and none after one that does not."""
    return values[-1] if runs(values[-1]) else values[bisect_left(values, True, key=lambda value: not runs(value)) - 1]


def _common(one: range, two: range) -> range | None:
    """Returns the numbers that are in both ranges, which are a range again; None where there is none."""
    both = [number for number in one if number in two]
    if not both:
        return None
    return range(both[0], both[-1] + 1, both[1] - both[0] if len(both) > 1 else 1)
