"""Time several models fairly: in turns, so that whatever the machine does meanwhile befalls them all."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from perf.sessions.session import Timer
from perf.statistics import FEWEST, summarise
from perf.timing.warmup import Clock

FEWEST_ROUNDS = 2
"""Even where one round takes longer than the budget: six repetitions then have twelve times of each model."""

MOST_ROUNDS = 2000
"""More raw times than this tell nothing new."""

LOOK_EVERY = 1.1
"""Rounds grow by a tenth between two looks at the intervals: who looks after each stops at a lucky one."""


def timed_rounds(
    runs: Sequence[Timer],
    *,
    precision: float,
    budget_s: float,
    seed: int,
    clock: Clock = time.perf_counter_ns,
) -> np.ndarray:
    """Times in ns, [len(runs), rounds]; in each round every run comes once, in a shuffled order.

    It ends when the 95 % interval of every median is within ±precision (a share of the median), or when `budget_s`
    is over and there are 2 rounds. Before each timed run comes an untimed one of the same model, if there are several:
    otherwise a model pays for what its predecessor threw out of the caches (3 to 5 % of a small one behind a big one).
    """
    order = np.random.default_rng(seed)
    alone = len(runs) == 1
    rounds: list[list[int]] = []
    look_at = float(FEWEST)
    end = clock() + budget_s * 1e9
    with _no_garbage_collection():
        while len(rounds) < MOST_ROUNDS:
            times = [0] * len(runs)
            for index in order.permutation(len(runs)):
                times[index] = runs[index](not alone)
            rounds.append(times)
            if len(rounds) >= FEWEST_ROUNDS and clock() >= end:
                break
            if len(rounds) >= look_at:
                look_at = len(rounds) * LOOK_EVERY
                if all(summarise(series).relative_half_width <= precision for series in np.array(rounds).T):
                    break
    return np.array(rounds, dtype=np.int64).T


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
