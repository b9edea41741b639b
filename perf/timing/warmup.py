"""Warm-up: runs models until their times are steady; first runs pack weights, grow the arena and raise the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from perf.sessions.session import Timer

WINDOW = 3
"""Runs whose median is compared with that of the same number before; one outlier does not change it."""

STEADY = 0.05
"""Largest relative difference of steady medians."""

Clock = Callable[[], int]
"""Returns the time in nanoseconds."""


def drift(times: Sequence[float]) -> float:
    """Returns the relative change of the median from the runs before to the last ones; infinity for too few runs."""
    if len(times) < 2 * WINDOW:
        return float("inf")
    before, after = median(times[-2 * WINDOW : -WINDOW]), median(times[-WINDOW:])
    return abs(after - before) / before


def warm_up(runs: Sequence[Timer], *, limit_s: float, clock: Clock) -> tuple[bool, ...]:
    """Runs all models in turn until each was steady once, or until `limit_s` is over and all had two windows of runs.

    Returns whether each became steady.
    """
    times: list[list[int]] = [[] for _ in runs]
    steady = [False for _ in runs]
    end = clock() + limit_s * 1e9
    while not all(steady) and (len(times[0]) < 2 * WINDOW or clock() < end):
        for index, run in enumerate(runs):
            times[index].append(run(False))
            steady[index] = steady[index] or drift(times[index]) <= STEADY
    return tuple(steady)
