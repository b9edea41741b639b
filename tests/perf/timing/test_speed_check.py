"""The task that tells whether the machine's own speed moves."""

from __future__ import annotations

from itertools import count

from perf.timing.disturbance.speed_check import RUNS, speed_check_ms


def test_the_median_in_ms() -> None:
    taken = iter([5, 1, 2, 100, 3, 3, 3, 4, 3])
    ticks, now = count(), [0]

    def clock() -> int:
        if next(ticks) % 2:  # at the end of a run
            now[0] += next(taken) * 1_000_000
        return now[0]

    assert speed_check_ms(clock) == 3.0
    assert next(ticks) == 2 * RUNS
