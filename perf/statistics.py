"""What a series of times says, without supposing that they follow any distribution.

The interval of the median is the one between two order statistics: of n sorted times, x(k) and x(n+1-k) enclose the
true median with the probability 1 - 2·P(Binomial(n, 1/2) < k), whatever the distribution (David and Nagaraja, Order
Statistics, third edition, section 7.1). It supposes independent runs; on a busy machine neighbours in time resemble
each other, and the interval is then somewhat too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

TAIL = 40
"""A 95 % interval misses the median in one case of 40 on either side."""

FEWEST = 6
"""With 5 values even their whole range encloses the median with a probability of 94 % only."""


@dataclass(frozen=True)
class Summary:
    """Of one series, in its own unit: median, the 95 % interval of the median, and the slow tail."""

    median: float
    low: float
    high: float
    p90: float
    p99: float

    @property
    def half_width(self) -> float:
        """How far the true median may be from the measured one: the longer side of the interval."""
        return max(self.high - self.median, self.median - self.low)

    @property
    def relative_half_width(self) -> float:
        """The half width as a share of the median."""
        return self.half_width / self.median


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as another: the median ratio, its 95 % interval, and whether that excludes 1."""

    median: float
    low: float
    high: float
    significant: bool


def summarise(values: Sequence[float] | np.ndarray) -> Summary:
    """Describe at least 6 positive values.

    A percentile is the smallest value that at least that share of the values does not exceed, so it is one that
    was measured; below 100 values p99 is the slowest.
    """
    low, high = median_interval(values)
    p90, p99 = np.quantile(values, (0.90, 0.99), method="inverted_cdf")
    return Summary(float(np.median(values)), low, high, float(p90), float(p99))


def median_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The values between which the true median lies with at least 95 % confidence."""
    ordered = np.sort(values)
    rank = interval_rank(len(ordered))
    return float(ordered[rank - 1]), float(ordered[-rank])


@lru_cache(maxsize=4096)
def interval_rank(n: int) -> int:
    """The k for which the k-th smallest and the k-th largest of n values are the tightest 95 % interval.

    Raises:
        ValueError: n is too small for any.
    """
    if n < FEWEST:
        raise ValueError(f"{n} values have no 95 % interval of the median; at least {FEWEST} are needed")
    # Whole numbers, 2^n times the probabilities, because (1/2)^n is no float any more from n = 1075.
    allowed = 2**n // TAIL
    rank, ways = 0, 1
    below = ways
    while below <= allowed:
        rank += 1
        ways = ways * (n - rank + 1) // rank
        below += ways
    return rank


def ratio(first: Sequence[float] | np.ndarray, this: Sequence[float] | np.ndarray, rounds: Sequence[int]) -> Ratio:
    """How many times as fast as `first` `this` is, from times of the same rounds; `rounds` counts those per repetition.

    Times of one round share what the machine was doing then, so their quotient is steadier than either. But all
    rounds of a repetition share its sessions, and where their memory happens to lie: two sessions of the same file
    differ by 1 or 2 % for as long as they live. So a repetition counts as one value, the median of its quotients.
    """
    quotients = np.asarray(first, dtype=np.float64) / np.asarray(this, dtype=np.float64)
    medians = [float(np.median(part)) for part in np.split(quotients, np.cumsum(rounds)[:-1])]
    low, high = median_interval(medians)
    return Ratio(float(np.median(medians)), low, high, significant=not low <= 1 <= high)
