"""Threads of torch while a checkpoint is converted or compared: only as many as there are idle cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

# Seconds over which the load of the cores is measured.
MEASURED = 0.1


@contextmanager
def idle_threads() -> Iterator[None]:
    """Limits torch's threads to the idle cores within the context; one at least.

    Threads that share a core with other programs wait for each other by spinning, so that two of them take several
    times the processor time of one.
    """
    before = torch.get_num_threads()
    if before > 1:
        torch.set_num_threads(min(before, idle_cores()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def idle_cores() -> int:
    """Returns the number of this process's cores that are idle now, at least 1; it measures for 0.1 s."""
    busy = psutil.cpu_percent(interval=MEASURED, percpu=True)
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(len(busy)))
    return max(1, round(sum(1 - percent / 100 for core, percent in enumerate(busy) if core in own)))
