"""Speed check: a fixed task, timed between repetitions; its time changes when the machine's speed does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from statistics import median

WORK = bytes(2**20)
RUNS = 9

MOVED = 0.1
"""Relative change in its time above which the machine's speed has changed."""


def speed_check_ms(clock: Callable[[], int] = time.perf_counter_ns) -> float:
    """Returns the median time in ms of the task: a checksum of one MiB, on one core."""
    times = []
    for _ in range(RUNS):
        start = clock()
        hashlib.sha256(WORK).digest()
        times.append((clock() - start) / 1e6)
    return median(times)
