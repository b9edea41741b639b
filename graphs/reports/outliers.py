"""Outliers: channels and tokens whose peak is much larger than the median one's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A channel or token is an outlier if its peak is this many times the median one's: with one step for all, it takes 4 of
# the 8 bits away from the median one.
OUTLIER = 16.0

# The fewest channels or tokens of which a median is meaningful.
FEWEST = 8

# The number of outliers that are listed, the largest first; all are counted.
NAMED = 8


@dataclass(frozen=True)
class Channel:
    """Outlier channel: its number, its peak, and the ratio of its peak to the median channel's."""

    channel: int
    peak: float
    times: float


@dataclass(frozen=True)
class Token:
    """Outlier tokens at one position.

    Args:
        position: The position in the text, from 0.
        token_id: The id of the token with the largest peak.
        texts: The number of texts with an outlier at this position.
        peak: The largest magnitude.
        times: The ratio of `peak` to the median token's peak.
    """

    position: int
    token_id: int
    texts: int
    peak: float
    times: float


def token_peaks(sizes: np.ndarray, length: int, tokens: int) -> np.ndarray | None:
    """Returns each token's largest magnitude over channels and heads, ``[tokens]``; None if rows are not tokens."""
    if sizes.ndim < 2:
        return None
    peaks = sizes.max(axis=-1)
    if peaks.ndim > 1:
        if peaks.shape[-1] != length or peaks.shape[0] * length != tokens:
            return None
        return np.asarray(peaks.reshape(peaks.shape[0], -1, length).max(axis=1).reshape(-1))
    return peaks if peaks.size == tokens else None


def outliers(peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices of the outliers, and the ratio of every peak to the median one."""
    shown = peaks[peaks > 0]
    if peaks.size < FEWEST or not shown.size:
        return np.zeros(0, np.int64), np.ones(peaks.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        times = np.where(np.isfinite(peaks), peaks / np.median(shown), np.inf)
    return np.flatnonzero(times >= OUTLIER), times


def by_position(tokens: np.ndarray, times: np.ndarray) -> list[Token]:
    """Groups outlier tokens ``[4, tokens]`` (text, position, id, peak) by position, the largest ratio first."""
    found = []
    for position in np.unique(tokens[1]):
        here = np.flatnonzero(tokens[1] == position)
        top = here[times[here].argmax()]
        texts = len(np.unique(tokens[0, here]))
        found.append(Token(int(position), int(tokens[2, top]), texts, float(tokens[3, top]), float(times[top])))
    return sorted(found, key=lambda token: -token.times)[:NAMED]
