"""Run models until their times stop falling: first runs pack weights, grow the arena and wake the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from perf.sessions.session import Timer

WINDOW = 3
"""Runs whose median is compared with that of as many before them; a single odd run does not move it."""

STEADY = 0.05
"""Medians this close to each other are called steady."""

Clock = Callable[[], int]
"""Tells the time in nanoseconds."""


def drift(times: Sequence[float]) -> float:
    """By what share the median of the last runs differs from that of the runs before; infinite if there are too few."""
    if len(times) < 2 * WINDOW:
        return float("inf")
    before, after = median(times[-2 * WINDOW : -WINDOW]), median(times[-WINDOW:])
    return abs(after - before) / before


def warm_up(runs: Sequence[Timer], *, limit_s: float, clock: Clock) -> tuple[bool, ...]:
    """Run all in turn until each has been steady once, or until `limit_s` is over and all had enough runs to tell.

    Returns which of them became steady.
    """
    times: list[list[int]] = [[] for _ in runs]
    steady = [False for _ in runs]
    end = clock() + limit_s * 1e9
    while not all(steady) and (len(times[0]) < 2 * WINDOW or clock() < end):
        for index, run in enumerate(runs):
            times[index].append(run(False))
            steady[index] = steady[index] or drift(times[index]) <= STEADY
    return tuple(steady)
