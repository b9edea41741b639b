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
    """Describe positive values.

    Fewer than 6 have no 95 % interval: then it is their range, in which the true median lies with less confidence.
    A percentile is the smallest value that at least that share of the values does not exceed, so it is one that
    was measured; below 100 values p99 is the slowest.
    """
    enough = len(values) >= FEWEST
    low, high = median_interval(values) if enough else (float(np.min(values)), float(np.max(values)))
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


def ratio_between(first: Sequence[float] | np.ndarray, this: Sequence[float] | np.ndarray) -> Ratio:
    """How many times as fast as `first` `this` is, from times that have nothing to do with each other.

    Of all quotients of one of each, the median is Hodges and Lehmann's estimate; the interval is that of Mann and
    Whitney's test (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, third edition, section 4.3): the
    quotients between two ranks, whatever the distributions, if they differ by a factor only. At least 4 values of each
    are needed.
    """
    quotients = np.sort(np.divide.outer(np.asarray(first, np.float64), np.asarray(this, np.float64)).ravel())
    rank = quotient_rank(len(first), len(this))
    low, high = float(quotients[rank - 1]), float(quotients[-rank])
    return Ratio(float(np.median(quotients)), low, high, significant=not low <= 1 <= high)


@lru_cache(maxsize=4096)
def quotient_rank(m: int, n: int) -> int:
    """The k for which the k-th smallest and largest of m · n quotients are the tightest 95 % interval.

    Raises:
        ValueError: too few values for any.
    """
    # How many of the arrangements of m and n values have each count of pairs in which the second is the smaller one.
    ways = _arrangements(m, n)
    allowed, below, rank = sum(ways) // TAIL, 0, 0
    while below + ways[rank] <= allowed:
        below += ways[rank]
        rank += 1
    if not rank:
        raise ValueError(f"{m} and {n} values have no 95 % interval of their ratio; at least 4 of each are needed")
    return rank


def _arrangements(m: int, n: int) -> list[int]:
    """How many arrangements of m and n values have 0, 1 … m · n such pairs: the coefficients of a Gaussian binomial."""
    ways = [1] + [0] * (m * n)
    for i in range(1, m + 1):
        for u in range(m * n, n + i - 1, -1):  # times (1 - q^(n+i))
            ways[u] -= ways[u - n - i]
        for u in range(i, m * n + 1):  # divided by (1 - q^i)
            ways[u] += ways[u - i]
    return ways
