"""Rounds: times several models in turns, so that changes of the machine's speed affect all of them."""

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
"""Minimum even where one round exceeds the budget: six repetitions then have twelve times of each model."""

MOST_ROUNDS = 2000
"""Upper bound of rounds in a repetition; more raw times add no precision."""

CHECK_GROWTH = 1.1
"""Growth of the number of rounds between two checks of the intervals: checking after every round biases the stop."""


def timed_rounds(
    runs: Sequence[Timer],
    *,
    precision: float,
    budget_s: float,
    seed: int,
    clock: Clock = time.perf_counter_ns,
) -> np.ndarray:
    """Returns times in ns, [len(runs), rounds]; each round runs every model once, in a shuffled order.

    Ends when the 95 % interval of every median is within ± `precision` (a share of the median), or after `budget_s` and
    2 rounds. With several models, an untimed run of the same model precedes each timed one: otherwise the caches hold
    the data of the model before (3 to 5 % slower for a small model after a big one).
    """
    order = np.random.default_rng(seed)
    alone = len(runs) == 1
    rounds: list[list[int]] = []
    check_at = float(FEWEST)
    end = clock() + budget_s * 1e9
    with _no_garbage_collection():
        while len(rounds) < MOST_ROUNDS:
            times = [0] * len(runs)
            for index in order.permutation(len(runs)):
                times[index] = runs[index](not alone)
            rounds.append(times)
            if len(rounds) >= FEWEST_ROUNDS and clock() >= end:
                break
            if len(rounds) >= check_at:
                check_at = len(rounds) * CHECK_GROWTH
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
