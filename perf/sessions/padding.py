"""Inputs with padding: texts half of which are padding, and texts of different lengths in one batch.

A model without a mask, or one that ignores it, reads the padding as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class RaggedFeed:
    """Texts of different lengths: in one batch, padded to the longest of them, and one by one at their own lengths.

    Args:
        batch: The inputs of all texts, [batch, seq] or [batch, choices, seq], with an `attention_mask`.
        texts: The inputs of each text, of batch 1, in the same order.
    """

    batch: Feed
    texts: tuple[Feed, ...]

    @property
    def tokens(self) -> int:
        """The number of tokens without padding."""
        return int(np.count_nonzero(self.batch["attention_mask"]))


def ragged(feed: Feed, lengths: Sequence[int]) -> RaggedFeed:
    """Returns the same texts, each cut to its own length; the rest of it is padding in the batch.

    Args:
        feed: Inputs by name, with one text for each of the lengths, of the largest of them, without padding.
        lengths: The length of each text in tokens.
    """
    batch = {name: value.copy() for name, value in feed.items()}
    for name in ("input_ids", "attention_mask"):
        for number, length in enumerate(lengths):
            batch[name][number, ..., length:] = 0
    texts = tuple(
        {name: np.ascontiguousarray(value[number : number + 1, ..., :length]) for name, value in feed.items()}
        for number, length in enumerate(lengths)
    )
    return RaggedFeed(batch, texts)
