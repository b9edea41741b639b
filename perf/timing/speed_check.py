"""A task that is always the same, timed between the blocks of a bench: its time moves when the machine's speed does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from statistics import median

WORK = bytes(2**20)
RUNS = 9


def speed_check_ms(clock: Callable[[], int] = time.perf_counter_ns) -> float:
    """The median, in ms, of a few runs of the task: a checksum of a megabyte, on one core."""
    times = []
    for _ in range(RUNS):
        start = clock()
        hashlib.sha256(WORK).digest()
        times.append((clock() - start) / 1e6)
    return median(times)
