"""Which rows are in which batch: a function of the seed and the batch's number, so that training can go on anywhere.

A sampler that remembers where it was cannot be killed at any moment. This one has nothing to remember: the batch with a
number is always the same, and a training that goes on begins at the number where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch.utils.data import Sampler

# Rows of like length are put together out of this many batches' worth of shuffled rows: little is padding, and batches
# still differ in every epoch.
BATCHES_SORTED = 16


@dataclass(frozen=True, slots=True)
class Draw:
    """A row of a batch: its number in the data, and the seed of what is drawn for it, such as masks."""

    row: int
    seed: tuple[int, int]


class Batches(Sampler[list[Draw]]):
    """Batches `first` to `count` of an endless shuffled repetition of the data.

    Args:
        lengths: How long each row is, in tokens.
        batch_size: Rows of a batch; the last rows of an epoch that do not fill one are left out of that epoch, unless
            there are fewer rows than that at all.
        first: The number of the first batch that is given.
        count: The number after the last one.
        seed: Of the order.
    """

    def __init__(
        self, lengths: Sequence[int] | np.ndarray, batch_size: int, *, first: int, count: int, seed: int
    ) -> None:
        self._lengths = np.asarray(lengths)
        self.batch_size = min(batch_size, len(lengths))
        self._first, self._count, self._seed = first, count, seed
        self._per_epoch = len(lengths) // self.batch_size
        self._epoch = lru_cache(maxsize=1)(self._shuffled)

    # accelerate asks for these of a batch sampler.
    drop_last = False

    def __len__(self) -> int:
        return max(self._count - self._first, 0)

    def __iter__(self) -> Iterator[list[Draw]]:
        for number in range(self._first, self._count):
            epoch, place = divmod(number, self._per_epoch)
            yield [Draw(int(row), (self._seed, number)) for row in self._epoch(epoch)[place]]

    def _shuffled(self, epoch: int) -> np.ndarray:
        """The batches of an epoch, ``[batches, batch_size]``."""
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
