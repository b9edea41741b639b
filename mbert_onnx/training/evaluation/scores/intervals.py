"""95 % confidence intervals of scores over a sample of texts, and over seeds of a training."""

from __future__ import annotations

import math
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


def seed_interval(values: np.ndarray) -> tuple[float, float] | None:
    """Computes the 95 % interval of a mean over seeds of a training and texts, both of which are samples.

    It is the interval of a crossed model with random effects: the variance of the mean is that of the seeds, of the
    texts and of the rest, each divided by its number, estimated from the mean squares; degrees of freedom are
    Satterthwaite's. Resampling three seeds would understate their variance; this does not. For differences between two
    trainings, it is paired by seed and by text.

    Args:
        values: Value of each text with each seed, ``[seeds, texts]``, such as 1 for a correct prediction and 0 for a
            wrong one, or the difference of two of these.

    Returns None for fewer than two seeds or two texts.
    """
    seeds, texts = values.shape
    if seeds < 2 or texts < 2:
        return None
    mean = values.mean()
    of_seeds, of_texts = values.mean(axis=1) - mean, values.mean(axis=0) - mean
    rest = values - mean - of_seeds[:, None] - of_texts[None, :]
    free = {"seeds": seeds - 1, "texts": texts - 1, "rest": (seeds - 1) * (texts - 1)}
    squares = {
        "seeds": texts * float((of_seeds**2).sum()) / free["seeds"],
        "texts": seeds * float((of_texts**2).sum()) / free["texts"],
        "rest": float((rest**2).sum()) / free["rest"],
    }
    # A component below 0 is 0: then the mean square of that factor estimates the rest, too, and both cancel.
    kept = {"seeds": 1, "texts": 1, "rest": -1}
    for factor in ("seeds", "texts"):
        if squares[factor] < squares["rest"]:
            kept[factor], kept["rest"] = 0, kept["rest"] + 1
    total = sum(sign * squares[name] for name, sign in kept.items())
    if total <= 0:
        return float(mean), float(mean)
    freedom = total**2 / sum((sign * squares[name]) ** 2 / free[name] for name, sign in kept.items())
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(total / (seeds * texts))
    return float(mean) - half, float(mean) + half
