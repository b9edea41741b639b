"""The statistics against worked numbers, and against what a 95 % interval promises."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest

from perf import statistics
from perf.statistics import Ratio, interval_rank, median_interval, quotient_rank, ratio, ratio_between, summarise

# From tables of the sign test: the ranks of the 95 % interval of the median.
TABLE = {6: 1, 8: 1, 9: 2, 12: 3, 20: 6, 50: 18, 100: 40}


@pytest.mark.parametrize(("n", "rank"), TABLE.items())
def test_rank_is_that_of_the_tables(n: int, rank: int) -> None:
    assert interval_rank(n) == rank


@pytest.mark.parametrize("n", [6, 7, 31, 200, 1501])
def test_rank_is_the_tightest_that_keeps_95_percent(n: int) -> None:
    def covered(rank: int) -> Fraction:
        return 1 - Fraction(2 * sum(comb(n, below) for below in range(rank)), 2**n)

    rank = interval_rank(n)
    assert covered(rank) >= Fraction(95, 100) > covered(rank + 1)


def test_too_few_values_have_no_interval() -> None:
    with pytest.raises(ValueError, match="5 values have no 95 % interval"):
        median_interval([1, 2, 3, 4, 5])


def test_summary_of_worked_numbers() -> None:
    summary = summarise([5, 1, 12, 3, 7, 2, 11, 4, 10, 6, 9, 8])
    assert (summary.median, summary.low, summary.high) == (6.5, 3, 10)
    assert (summary.p90, summary.p99) == (11, 12)  # 0.9 · 12 = 10.8, so the 11th smallest; 11.88, so the 12th
    assert summary.half_width == 3.5
    assert summary.relative_half_width == 3.5 / 6.5


def test_percentiles_of_a_hundred() -> None:
    summary = summarise(np.arange(1, 101))
    assert (summary.p90, summary.p99) == (90, 99)


def test_interval_covers_the_true_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    n, trials, true_median = 25, 2000, 1.0  # lognormal: skewed, as times are
    hits = 0
    for _ in range(trials):
        low, high = median_interval(rng.lognormal(0.0, 0.5, n))
        hits += low <= true_median <= high
    exact = 1 - 2 * sum(comb(n, below) for below in range(interval_rank(n))) / 2**n
    assert hits / trials == pytest.approx(exact, abs=0.015)  # three standard deviations of the simulation


def test_ratio_finds_a_planted_twofold_slowdown_under_a_shared_drift() -> None:
    rng = np.random.default_rng(1)
    rounds = [20] * 6
    drift = np.linspace(1, 4, sum(rounds))  # far more than the difference, and the same for both in every round
    first = drift * rng.normal(1, 0.02, drift.size)
    slower = 2 * drift * rng.normal(1, 0.02, drift.size)
    found = ratio(first, slower, rounds)
    assert found.significant
    assert found.low <= 0.5 <= found.high
    assert 0.48 < found.low < found.high < 0.52
    assert ratio(slower, first, rounds).median == pytest.approx(2, rel=0.02)


def test_equal_models_are_rarely_called_different() -> None:
    rng = np.random.default_rng(2)
    rounds = [12] * 6
    called = sum(ratio(rng.lognormal(0, 0.1, 72), rng.lognormal(0, 0.1, 72), rounds).significant for _ in range(400))
    assert called / 400 < 0.06  # 3.1 % are expected of six repetitions


def test_what_differs_by_session_alone_is_no_difference() -> None:
    rng = np.random.default_rng(3)
    rounds = [50] * 6
    luck = np.repeat([1.02, 0.99, 1.01, 0.98, 1.015, 1.005], rounds)  # of the second model's six sessions
    first, second = rng.normal(1, 0.002, (2, sum(rounds))) * np.stack([np.ones_like(luck), luck])
    assert not ratio(first, second, rounds).significant
    one_long_repetition_low, one_long_repetition_high = median_interval(first / second)
    assert not one_long_repetition_low <= 1 <= one_long_repetition_high  # what would have been claimed without them


def test_repetitions_of_unequal_length_are_cut_where_they_end() -> None:
    rounds = [1, 2, 3, 1, 1, 2]
    first = np.repeat([1.0, 2, 3, 4, 5, 6], rounds)
    found = ratio(first, np.ones_like(first), rounds)
    assert (found.median, found.low, found.high) == (3.5, 1, 6)
    assert not found.significant


def medians_and_one(one: float, others: float = 4.55 / 1.52) -> Ratio:
    """The ratio of six repetitions of eight rounds; one of them is `one`, the rest scatter by 1 % around `others`."""
    values = np.repeat(others * np.array([1.0, 1.01, 0.99, 1.0, 1.005, 0.995]), 8)
    values[16:24] = one
    return ratio(values, np.ones_like(values), [8] * 6)


@pytest.mark.parametrize("one", [0.3, 0.9, 2.0, 20.0])
def test_one_disturbed_repetition_of_six_hides_no_difference(one: float) -> None:
    """The range of all six would contain 1, or be as wide as the disturbance."""
    found = medians_and_one(one)
    assert found.significant
    assert 2.9 < found.low < found.median < found.high < 3.1


def test_one_disturbed_repetition_makes_no_difference_either() -> None:
    for one in (0.3, 3.0):
        assert not medians_and_one(one, others=1.0).significant
    assert not medians_and_one(0.3, others=1.008).significant  # all others are above 1, but by less than they scatter


def test_two_disturbed_repetitions_leave_the_range() -> None:
    first = np.array([3.0, 3.0, 3.0, 3.0, 0.8, 0.9])
    found = ratio(first, np.ones(6), [1] * 6)
    assert (found.low, found.high, found.significant) == (0.8, 3.0, False)


def test_equal_models_are_rarely_called_different_with_outliers() -> None:
    """Sessions differ by 2 %, or are of two kinds that differ by 3 %; a sixth of the repetitions is disturbed."""
    rng = np.random.default_rng(4)
    for luck in (
        rng.normal(0, 0.02, (2000, 6)),
        rng.choice([-0.015, 0.015], (2000, 6)) + rng.normal(0, 0.002, (2000, 6)),
    ):
        hit = (rng.random((2000, 6)) < 1 / 6) * rng.choice([-1, 1], (2000, 6)) * rng.uniform(0.3, 1.2, (2000, 6))
        called = sum(ratio(quotients, np.ones(6), [1] * 6).significant for quotients in np.exp(luck + hit))
        assert called / 2000 < 0.06


def test_arrangements_are_those_that_there_are() -> None:
    for m, n in ((1, 1), (2, 2), (4, 3), (5, 5)):
        counted = [0] * (m * n + 1)
        for firsts in combinations(range(m + n), m):
            others = [place for place in range(m + n) if place not in firsts]
            counted[sum(other < first for first in firsts for other in others)] += 1
        assert statistics._arrangements(m, n) == counted


@pytest.mark.parametrize(("m", "n", "expected"), [(4, 4, 1), (5, 5, 3), (6, 6, 6), (10, 10, 24), (8, 6, 9)])
def test_ranks_are_those_of_the_table(m: int, n: int, expected: int) -> None:
    """Critical values of Mann and Whitney's U, two-sided, 5 %: 0, 2, 5, 23 and 8; the rank is the next one."""
    assert quotient_rank(m, n) == expected


def test_too_few_values_for_a_ratio() -> None:
    with pytest.raises(ValueError, match="3 and 3 values have no 95 % interval"):
        ratio_between([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])


def test_ratio_between_covers_the_true_one_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [ratio_between(rng.lognormal(0, 0.1, 6), rng.lognormal(0, 0.1, 6) / 1.1) for _ in range(2000)]
    assert 0.94 < np.mean([one.low <= 1.1 <= one.high for one in found]) < 0.98
    same = [ratio_between(rng.lognormal(0, 0.1, 6), rng.lognormal(0, 0.1, 6)) for _ in range(2000)]
    assert np.mean([one.significant for one in same]) < 0.06


def test_ratio_between_says_how_many_times_as_fast() -> None:
    found = ratio_between([2.0] * 6, [1.0] * 6)
    assert (found.median, found.low, found.high, found.significant) == (2.0, 2.0, 2.0, True)
