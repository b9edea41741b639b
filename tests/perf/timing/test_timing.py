"""Warm-up and rounds, on a clock that the tests turn."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest

from perf.sessions.session import Timer
from perf.statistics import ratio
from perf.timing.rounds import FEWEST_ROUNDS, MOST_ROUNDS, timed_rounds
from perf.timing.warmup import drift, warm_up

MS = 1_000_000


class FakeClock:
    """Nanoseconds that pass only while a fake model runs."""

    def __init__(self) -> None:
        self.now = 0
        self.ran: list[str] = []

    def __call__(self) -> int:
        return self.now

    def model(self, name: str, times_ms: Iterator[float]) -> Timer:
        def run(after_another: bool) -> int:
            for _ in range(1 + after_another):
                took = int(next(times_ms) * MS)
                self.now += took
                self.ran.append(name)
            return took

        return run


def noisy(median: float, spread: float, seed: int) -> Iterator[float]:
    rng = np.random.default_rng(seed)
    while True:
        yield float(median * rng.lognormal(0, spread))


def constant(value: float) -> Iterator[float]:
    while True:
        yield value


def test_planted_twofold_slowdown_is_found() -> None:
    clock = FakeClock()
    runs = [clock.model("first", noisy(10, 0.05, 1)), clock.model("slow", noisy(20, 0.05, 2))]
    parts = [timed_rounds(runs, precision=0.02, budget_s=60, seed=seed, clock=clock) for seed in range(6)]
    first, slow = np.concatenate(parts, axis=1)
    found = ratio(first, slow, [part.shape[1] for part in parts])
    assert found.significant
    assert found.median == pytest.approx(0.5, rel=0.03)


def test_ends_when_precise() -> None:
    clock = FakeClock()
    steady = timed_rounds([clock.model("a", constant(3))], precision=0.02, budget_s=60, seed=0, clock=clock)
    assert steady.shape == (1, 6)  # the fewest that have an interval
    assert np.all(steady == 3 * MS)
    loose = timed_rounds([clock.model("a", noisy(3, 0.2, 5))], precision=0.1, budget_s=1e6, seed=0, clock=clock)
    tight = timed_rounds([clock.model("a", noisy(3, 0.2, 5))], precision=0.03, budget_s=1e6, seed=0, clock=clock)
    assert 6 < loose.shape[1] < tight.shape[1] < MOST_ROUNDS


def test_one_imprecise_model_keeps_all_going() -> None:
    clock = FakeClock()
    runs = [clock.model("calm", constant(1)), clock.model("wild", noisy(1, 0.3, 4))]
    assert timed_rounds(runs, precision=0.05, budget_s=1e6, seed=0, clock=clock).shape[1] > 6


def test_ends_when_the_budget_is_spent() -> None:
    clock = FakeClock()
    times = timed_rounds([clock.model("a", noisy(10, 0.5, 3))], precision=1e-6, budget_s=1.0, seed=0, clock=clock)
    assert times.sum() >= 1e9
    assert times[:, :-1].sum() < 1e9


def test_budget_smaller_than_a_run() -> None:
    clock = FakeClock()
    times = timed_rounds([clock.model("a", constant(5000))], precision=0.02, budget_s=1.0, seed=0, clock=clock)
    assert times.shape == (1, FEWEST_ROUNDS)


def test_every_round_has_every_model_once_behind_its_own_untimed_run() -> None:
    clock = FakeClock()
    names = ["a", "b", "c"]
    runs = [clock.model(name, constant(1 + index)) for index, name in enumerate(names)]
    times = timed_rounds(runs, precision=1e-9, budget_s=0.12, seed=0, clock=clock)
    assert np.array_equal(times, np.tile([[1 * MS], [2 * MS], [3 * MS]], times.shape[1]))
    turns = [clock.ran[start : start + 6] for start in range(0, len(clock.ran), 6)]
    for turn in turns:
        assert turn[::2] == turn[1::2]
        assert sorted(turn[::2]) == names
    assert len({tuple(turn) for turn in turns}) > 1  # the order changes


def test_garbage_collection_is_off_while_timing_and_back_after() -> None:
    seen = []
    clock = FakeClock()
    model = clock.model("a", constant(1))

    def run(after_another: bool) -> int:
        seen.append(gc.isenabled())
        return model(after_another)

    timed_rounds([run], precision=0.02, budget_s=1, seed=0, clock=clock)
    assert seen
    assert not any(seen)
    assert gc.isenabled()


def test_ctrl_c_passes_and_collection_is_back() -> None:
    def run(after_another: bool) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        timed_rounds([run], precision=0.02, budget_s=1, seed=0)
    assert gc.isenabled()


def test_drift() -> None:
    assert drift([9, 9, 9, 9, 9]) == float("inf")
    assert drift([50, 10, 11, 12, 11, 11, 11]) == 0
    assert drift([10, 10, 10, 12, 12, 90]) == pytest.approx(0.2)


def test_warm_up_runs_until_the_times_stop_falling() -> None:
    clock = FakeClock()
    falling = iter([100.0, 80, 60, 50, 40, 30, 20, 15, 12, *[10.0] * 50])
    assert warm_up([clock.model("a", falling)], limit_s=60, clock=clock) == (True,)
    # (10, 10, 10) is the first window within 5 % of the one before, and that one was (12, 10, 10).
    assert len(clock.ran) == 14


def test_warm_up_gives_up_at_its_limit() -> None:
    clock = FakeClock()
    falling = (1000 * 0.8**step for step in range(10_000))
    rising = (10 * 1.2**step for step in range(10_000))
    runs = [clock.model("a", constant(1)), clock.model("b", rising), clock.model("c", falling)]
    assert warm_up(runs, limit_s=5, clock=clock) == (True, False, False)
    assert clock.now >= 5e9
