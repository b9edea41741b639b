"""Steal time: the time for which a hypervisor gave this machine's processors to others while it had work for them."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

FEWEST_S = 0.03
"""Less stolen time than this is not counted: the kernel counts in steps of 0.01 s."""


class StealWatch:
    """Measures the steal time from its creation on; 0 where the system does not report it (only Linux does)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock(), _stolen_s()

    def cores(self) -> float:
        """Returns the average steal time since then, in cores: of the time of all, the share of one."""
        then, stolen = self._start
        elapsed, lost = self._clock() - then, _stolen_s() - stolen
        return round(lost / elapsed, 3) if elapsed > 0 and lost >= FEWEST_S else 0.0


def _stolen_s() -> float:
    """Returns the steal time of all cores since boot, in seconds: the eighth number of `cpu` in /proc/stat."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))
