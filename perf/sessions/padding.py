"""Inputs half of which are padding: a model without a mask, or one that ignores it, reads the padding as text."""

from __future__ import annotations

import numpy as np

from perf.sessions.types import Feed


def half_padded(feed: Feed) -> dict[str, np.ndarray] | None:
    """Returns the same texts with their latter half as padding; None where a text has one token only.

    Args:
        feed: Inputs by name, [batch, seq] or [batch, choices, seq], as `perf.sessions.inputs.synthesise` builds them.
    """
    mask = half_mask(feed)
    if not mask.any():
        return None
    padded = {name: value.copy() for name, value in feed.items()}
    for name, value in padded.items():
        if name in ("input_ids", "attention_mask"):
            value[~mask] = 0
    return padded


def half_mask(feed: Feed) -> np.ndarray:
    """Returns the attention mask of `half_padded`, bool, of the inputs' shape: true for the former half of a text."""
    mask: np.ndarray = np.zeros(next(iter(feed.values())).shape, bool)
    mask[..., : mask.shape[-1] // 2] = True
    return mask
