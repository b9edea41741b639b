"""95 % confidence intervals of scores over a sample of texts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
# Enough for two digits of the bounds.
RESAMPLES = 1000


def interval(statistic: Callable[[np.ndarray], float], count: int, seed: int = 0) -> tuple[float, float] | None:
    """Computes the 95 % percentile bootstrap interval of a score over `count` texts.

    Args:
        statistic: Computes the score of a sample, given the numbers of its texts, which may repeat.
        count: Number of texts.
        seed: Random seed.

    Returns None for a single text.
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
    """Computes Wilson's 95 % interval of a share.

    Unlike resampling, it also has a width if all texts or none are correct.
    """
    found = stats.binomtest(successes, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)
