"""How far a score may be off, because the texts it was measured on are so few."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
# Enough for the second digit of an interval's ends.
RESAMPLES = 1000


def interval(statistic: Callable[[np.ndarray], float], count: int, seed: int = 0) -> tuple[float, float] | None:
    """The 95 % percentile interval of a score over `count` texts.

    Args:
        statistic: The score of the texts whose numbers it is given, some of them several times.
        count: How many texts there are.
        seed: Of what is drawn.

    None for a single text, which tells nothing of others.
    """
    if count < 2:
        return None
    found = stats.bootstrap(
        (np.arange(count),),
        lambda numbers: statistic(np.asarray(numbers)),
        n_resamples=RESAMPLES,
        vectorized=False,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def share_interval(successes: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share, after Wilson: also where all texts, or none, are right.

    Resampling would then say that there is no doubt.
    """
    found = stats.binomtest(successes, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)
