"""Masked language modeling's own noise: which words are hidden, and by what (Devlin et al. 2018, section 3.1)."""

from __future__ import annotations

import numpy as np

from mbert_onnx.training.distillation.predictions import IGNORED

SHARE = 0.15
# Of the words that are asked for, so many are a mask, so many another word; the others are left as they are.
MASKED, REPLACED = 0.8, 0.1


def mask_words(
    ids: np.ndarray,
    special: np.ndarray,
    *,
    mask_id: int,
    vocab_size: int,
    random: np.random.Generator,
    share: float = SHARE,
) -> tuple[np.ndarray, np.ndarray]:
    """Ids with words hidden, and the labels: the word's id where it is asked for, -100 elsewhere.

    Args:
        ids: ``[batch, seq]``.
        special: Likewise, true at special tokens and padding, which are never asked for.
        mask_id: The mask token's id.
        vocab_size: Words that replace others are drawn below it.
        random: What is drawn from.
        share: Of the words that are asked for; each row with any word has one at least.
    """
    draws = np.where(special, np.inf, random.random(ids.shape))
    asked = draws < share
    # A row that asks for nothing teaches nothing, and a batch of such rows has no loss.
    lowest = draws.argmin(axis=1)
    rows = np.arange(len(ids))
    asked[rows, lowest] |= np.isfinite(draws[rows, lowest])
    labels = np.where(asked, ids, IGNORED)
    choice = random.random(ids.shape)
    hidden = np.where(asked & (choice < MASKED), mask_id, ids)
    others = random.integers(vocab_size, size=ids.shape)
    return np.where(asked & (choice >= MASKED) & (choice < MASKED + REPLACED), others, hidden), labels
