"""What stands out: channels and tokens whose numbers are much larger than the median one's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A channel or token stands out if its peak is so many times the median one's: with one step for all, it takes 4 of the
# 8 bits away from the median one.
OUTLIER = 16.0

# Of so many channels or tokens, a median says what is usual.
FEWEST = 8

# Outliers that are named, the largest first; all are counted.
NAMED = 8


@dataclass(frozen=True)
class Channel:
    """A channel that stands out: its number, its peak, and how many times the median channel's that is."""

    channel: int
    peak: float
    times: float


@dataclass(frozen=True)
class Token:
    """Tokens at one position that stand out.

    Args:
        position: In the text, from 0.
        token_id: Of the one with the largest peak.
        texts: In how many texts it stands out.
        peak: The largest magnitude.
        times: How many times the median token's peak that is.
    """

    position: int
    token_id: int
    texts: int
    peak: float
    times: float


def token_peaks(sizes: np.ndarray, length: int, tokens: int) -> np.ndarray | None:
    """``[tokens]``: the largest magnitude of each, over channels and heads; None where rows are no tokens."""
    if sizes.ndim < 2:
        return None
    peaks = sizes.max(axis=-1)
    if peaks.ndim > 1:
        if peaks.shape[-1] != length or peaks.shape[0] * length != tokens:
            return None
        return np.asarray(peaks.reshape(peaks.shape[0], -1, length).max(axis=1).reshape(-1))
    return peaks if peaks.size == tokens else None


def outliers(peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which peaks stand out, and how many times the median one each is."""
    shown = peaks[peaks > 0]
    if peaks.size < FEWEST or not shown.size:
        return np.zeros(0, np.int64), np.ones(peaks.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        times = np.where(np.isfinite(peaks), peaks / np.median(shown), np.inf)
    return np.flatnonzero(times >= OUTLIER), times


def by_position(tokens: np.ndarray, times: np.ndarray) -> list[Token]:
    """Tokens that stand out, ``[4, tokens]``, as those of a position."""
    found = []
    for position in np.unique(tokens[1]):
        here = np.flatnonzero(tokens[1] == position)
        top = here[times[here].argmax()]
        texts = len(np.unique(tokens[0, here]))
        found.append(Token(int(position), int(tokens[2, top]), texts, float(tokens[3, top]), float(times[top])))
    return sorted(found, key=lambda token: -token.times)[:NAMED]
