"""Batch sampler of passages: texts of about the same length in one batch, as many as a number of tokens allows.

As in `batch_sampler`, a batch is a function of the seed and its number, so that a killed training resumes exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from mbert_onnx.training.data.batch_sampler import BatchSize, Draw
from mbert_onnx.training.data.passages.line_store import Lines

# Passages that are drawn and sorted by length at a time: little padding, and the batches of a length are spread.
WINDOW = 2048


@dataclass(frozen=True, slots=True)
class Passage(Draw):
    """A passage of a batch: lines `row` to `end - 1`, cut to `length` tokens without special tokens."""

    end: int
    length: int


@dataclass(frozen=True)
class Source:
    """Settings of a source.

    Args:
        weight: Share of its passages among all, relative to the other weights.
        lengths: Tokens of a passage, one of which is drawn for each: it has as many neighbouring lines of a document as
            fit, and at least one. Empty: a passage is one line.
    """

    weight: float
    lengths: tuple[int, ...] = ()


class PassageBatches(Sampler[list[Passage]]):
    """Batches `first` to `count - 1` of an endless sequence.

    Args:
        lines: The lines.
        sources: Settings of each source of `lines`.
        size: Size of a batch.
        room: Largest number of tokens of a passage, without special tokens.
        special: Number of special tokens around each, which a batch's number of tokens includes.
        first: Number of the first batch.
        count: Number after the last batch.
        seed: Random seed.
    """

    # accelerate reads these attributes of a batch sampler; batches differ in size.
    drop_last = False
    batch_size = None

    def __init__(
        self,
        lines: Lines,
        sources: Sequence[Source],
        size: BatchSize,
        *,
        room: int,
        special: int,
        first: int,
        count: int,
        seed: int,
    ) -> None:
        self._lines, self._sources, self._size = lines, sources, size
        self._room, self._special = room, special
        self._first, self._count, self._seed = first, count, seed
        weights = np.array([source.weight for source in sources], float)
        self._shares = weights / weights.sum()

    def __len__(self) -> int:
        return max(self._count - self._first, 0)

    def __iter__(self) -> Iterator[list[Passage]]:
        number = window = 0
        while number < self._count:
            starts, ends, lengths, batches = self._window(window)
            for batch in batches:
                if self._first <= number < self._count:
                    seed = (self._seed, number)
                    yield [Passage(int(starts[i]), seed, int(ends[i]), int(lengths[i])) for i in batch]
                number += 1
            window += 1

    def _window(self, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
        """Returns first lines, ends and lengths of the passages of a window, and its batches as their numbers."""
        random = np.random.default_rng((self._seed, window))
        chosen = random.choice(len(self._sources), size=WINDOW, p=self._shares)
        starts, ends = np.empty(WINDOW, np.int64), np.empty(WINDOW, np.int64)
        for number, source in enumerate(self._sources):
            own = np.flatnonzero(chosen == number)
            begin, end = self._lines.source_begins[number : number + 2]
            starts[own] = random.integers(begin, end, size=len(own))
            ends[own] = self._ends(starts[own], random.choice(source.lengths or (0,), size=len(own)))
        lengths = np.minimum(self._lines.begins[ends] - self._lines.begins[starts], self._room)
        order = np.argsort(lengths, kind="stable")
        batches = np.split(order, self._cuts(lengths[order]))
        return starts, ends, lengths, [batches[i] for i in random.permutation(len(batches))]

    def _ends(self, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Returns the line after each passage of at most these lengths."""
        begins = self._lines.begins
        fitting = np.searchsorted(begins, begins[starts] + np.minimum(lengths, self._room), side="right") - 1
        return np.minimum(np.maximum(fitting, starts + 1), self._lines.document_ends[starts])

    def _cuts(self, lengths: np.ndarray) -> list[int]:
        """Returns where batches begin, except the first, in passages of ascending `lengths`."""
        if not self._size.tokens:
            return list(range(self._size.rows, len(lengths), self._size.rows))
        cuts, begin = [], 0
        for number, length in enumerate(lengths.tolist()):
            if number > begin and (length + self._special) * (number - begin + 1) > self._size.tokens:
                cuts.append(number)
                begin = number
        return cuts
