"""Batch sampler without state: a batch is a function of the seed and its number.

A killed training resumes with the number of the next batch and gets the same batches as an uninterrupted one; no state
of a sampler has to be saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch.utils.data import Sampler

# Shuffled rows are sorted by length within pools of this many batches: little padding, and different batches in every
# epoch.
BATCHES_SORTED = 16


@dataclass(frozen=True, slots=True)
class Draw:
    """A row of a batch: its number in the data, and the seed of its random choices, such as masks."""

    row: int
    seed: tuple[int, int]


@dataclass(frozen=True, slots=True)
class BatchSize:
    """The size of batches: a number of rows, or, unless `tokens` is 0, as many rows as make that many padded tokens."""

    rows: int
    tokens: int = 0


class Batches(Sampler[list[Draw]]):
    """Batches `first` to `count - 1` of endless shuffled epochs of the data.

    Args:
        lengths: Number of tokens of each row.
        batch_size: Rows in a batch. The last rows of an epoch that do not fill a batch are skipped in that epoch; a
            batch is smaller only if the data has fewer rows.
        first: Number of the first batch.
        count: Number after the last batch.
        seed: Random seed of the order.
    """

    def __init__(
        self, lengths: Sequence[int] | np.ndarray, batch_size: int, *, first: int, count: int, seed: int
    ) -> None:
        self._lengths = np.asarray(lengths)
        self.batch_size = min(batch_size, len(lengths))
        self._first, self._count, self._seed = first, count, seed
        self._per_epoch = len(lengths) // self.batch_size
        self._epoch = lru_cache(maxsize=1)(self._shuffled)

    # accelerate reads this attribute of a batch sampler.
    drop_last = False

    def __len__(self) -> int:
        return max(self._count - self._first, 0)

    def __iter__(self) -> Iterator[list[Draw]]:
        for number in range(self._first, self._count):
            epoch, index = divmod(number, self._per_epoch)
            yield [Draw(int(row), (self._seed, number)) for row in self._epoch(epoch)[index]]

    def _shuffled(self, epoch: int) -> np.ndarray:
        """Returns the row numbers of an epoch's batches, ``[batches, batch_size]``."""
        random = np.random.default_rng((self._seed, epoch))
        order = random.permutation(len(self._lengths))[: self._per_epoch * self.batch_size]
        pool = self.batch_size * BATCHES_SORTED
        batches = []
        for start in range(0, len(order), pool):
            rows = order[start : start + pool]
            rows = rows[np.argsort(self._lengths[rows], kind="stable")]
            batches.append(rows.reshape(-1, self.batch_size))
        joined = np.concatenate(batches)
        return joined[random.permutation(len(joined))]
