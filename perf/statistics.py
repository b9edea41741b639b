"""Distribution-free statistics of times: medians, percentiles, ratios, and their 95 % intervals.

The interval of the median lies between two order statistics: of n sorted times, x(k) and x(n+1-k) enclose the true
median with the probability 1 - 2·P(Binomial(n, 1/2) < k), for any distribution (David and Nagaraja, Order Statistics,
third edition, section 7.1). It assumes independent runs. On a busy machine consecutive runs are correlated, and the
interval is somewhat too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

TAIL = 40
"""A 95 % interval misses the median with the probability 1/40 on each side."""

FEWEST = 6
"""Fewest values with a 95 % interval: the whole range of 5 values encloses the median with a probability of 94 %."""

OUTLIER = 1.25
"""A repetition's ratio is an outlier if this factor lies between it and every other: sessions explain 1 or 2 %."""

FEWEST_BETWEEN = 4
"""Fewest values of each of two independent series whose ratio has a 95 % interval."""


@dataclass(frozen=True)
class Summary:
    """Summary of a series, in its unit: the median, its 95 % interval, and the slow percentiles."""

    median: float
    low: float
    high: float
    p90: float
    p99: float

    @property
    def half_width(self) -> float:
        """The longer side of the interval: the largest distance from the measured median to the true one."""
        return max(self.high - self.median, self.median - self.low)

    @property
    def relative_half_width(self) -> float:
        """The half width as a share of the median."""
        return self.half_width / self.median


@dataclass(frozen=True)
class Ratio:
    """Speed relative to another series: the median ratio, its 95 % interval, and whether that excludes 1."""

    median: float
    low: float
    high: float
    significant: bool


def summarise(values: Sequence[float] | np.ndarray) -> Summary:
    """Summarises positive values.

    Fewer than 6 values have no 95 % interval; `low` and `high` are then their range, with less confidence. A percentile
    is the smallest value that at least that share of the values does not exceed, so it is always a measured value;
    below 100 values p99 is the slowest.
    """
    enough = len(values) >= FEWEST
    low, high = median_interval(values) if enough else (float(np.min(values)), float(np.max(values)))
    p90, p99 = np.quantile(values, (0.90, 0.99), method="inverted_cdf")
    return Summary(float(np.median(values)), low, high, float(p90), float(p99))


def median_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Returns the two values between which the true median lies with at least 95 % confidence."""
    ordered = np.sort(values)
    rank = interval_rank(len(ordered))
    return float(ordered[rank - 1]), float(ordered[-rank])


@lru_cache(maxsize=4096)
def interval_rank(n: int) -> int:
    """Returns the largest k for which the k-th smallest and k-th largest of n values form a 95 % interval.

    Raises:
        ValueError: n is too small for an interval.
    """
    if n < FEWEST:
        raise ValueError(f"{n} values have no 95 % interval of the median; at least {FEWEST} are needed")
    # Integers, 2^n times the probabilities, because (1/2)^n underflows a float from n = 1075 on.
    allowed = 2**n // TAIL
    rank, ways = 0, 1
    below = ways
    while below <= allowed:
        rank += 1
        ways = ways * (n - rank + 1) // rank
        below += ways
    return rank


def ratio(first: Sequence[float] | np.ndarray, this: Sequence[float] | np.ndarray, rounds: Sequence[int]) -> Ratio:
    """Computes the speed of `this` relative to `first` from times of the same rounds.

    Both times of a round see the same state of the machine, so their quotient varies less than either. All rounds of a
    repetition share its sessions and their memory layout: two sessions of the same file differ by 1 or 2 % for as long
    as they live. A repetition therefore counts as one value, the median of its quotients. With fewer than 9 repetitions
    the interval is their range, and one that was disturbed could hide any difference; see `_without_outlier`.

    Args:
        first, this: Times, one for each round.
        rounds: Number of rounds of each repetition, in order.
    """
    quotients = np.asarray(first, dtype=np.float64) / np.asarray(this, dtype=np.float64)
    medians = [float(np.median(part)) for part in np.split(quotients, np.cumsum(rounds)[:-1])]
    low, high = median_interval(medians)
    if interval_rank(len(medians)) == 1:
        low, high = _without_outlier(np.sort(medians), low, high)
    return Ratio(float(np.median(medians)), low, high, significant=not low <= 1 <= high)


def _without_outlier(ordered: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Returns an interval that one repetition far from all others does not widen.

    The interval is the range of the others, extended on each side by its own width (as logarithms, being ratios). Five
    values enclose the median with a probability of 94 %, whatever their distribution; extended like this, with over
    99 % if they are normally distributed. Simulations of equal models with and without outliers call 3 to 5 %
    different. An outlier on the other side than the interval's end leaves that end as it is.

    Args:
        ordered: The ratio of each repetition, ascending.
        low, high: The range of all.
    """
    for isolated, rest in (
        (ordered[1] / ordered[0] > OUTLIER, ordered[1:]),
        (ordered[-1] / ordered[-2] > OUTLIER, ordered[:-1]),
    ):
        if isolated:
            width = rest[-1] / rest[0]
            low, high = max(low, float(rest[0] / width)), min(high, float(rest[-1] * width))
    return low, high


def ratio_between(first: Sequence[float] | np.ndarray, this: Sequence[float] | np.ndarray) -> Ratio:
    """Computes the speed of `this` relative to `first` from independent, unpaired times.

    The median of all pairwise quotients is the Hodges-Lehmann estimate; the interval is that of the Mann-Whitney test
    (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, third edition, section 4.3): the quotients between
    two ranks. It holds for any distributions that differ only by a factor. Each series needs `FEWEST_BETWEEN` values.
    """
    quotients = np.sort(np.divide.outer(np.asarray(first, np.float64), np.asarray(this, np.float64)).ravel())
    rank = quotient_rank(len(first), len(this))
    low, high = float(quotients[rank - 1]), float(quotients[-rank])
    return Ratio(float(np.median(quotients)), low, high, significant=not low <= 1 <= high)


@lru_cache(maxsize=4096)
def quotient_rank(m: int, n: int) -> int:
    """Returns the largest k for which the k-th smallest and k-th largest of m · n quotients form a 95 % interval.

    Raises:
        ValueError: too few values for an interval.
    """
    # ways[u]: number of orderings of m and n values with u pairs in which the second value is the smaller one.
    ways = _arrangements(m, n)
    allowed, below, rank = sum(ways) // TAIL, 0, 0
    while below + ways[rank] <= allowed:
        below += ways[rank]
        rank += 1
    if not rank:
        raise ValueError(
            f"{m} and {n} values have no 95 % interval of their ratio; at least {FEWEST_BETWEEN} of each are needed"
        )
    return rank


def _arrangements(m: int, n: int) -> list[int]:
    """Counts orderings of m and n values by their number of such pairs: the coefficients of a Gaussian binomial."""
    ways = [1] + [0] * (m * n)
    for i in range(1, m + 1):
        for u in range(m * n, n + i - 1, -1):  # times (1 - q^(n+i))
            ways[u] -= ways[u - n - i]
        for u in range(i, m * n + 1):  # divided by (1 - q^i)
            ways[u] += ways[u - i]
    return ways
