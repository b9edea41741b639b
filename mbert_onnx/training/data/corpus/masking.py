"""Masking for masked language modeling (Devlin et al. 2018, section 3.1)."""

from __future__ import annotations

import numpy as np

from mbert_onnx.training.distillation.objectives.predictions import IGNORED

SHARE = 0.15
# Of the selected words, the share replaced by the mask token, and by a random word; the others stay unchanged.
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
    """Masks words; returns the new ids, and the labels: the original id at selected positions, -100 elsewhere.

    Args:
        ids: Token ids ``[batch, seq]``.
        special: ``[batch, seq]``, true at special tokens and padding, which are never selected.
        mask_id: Id of the mask token.
        vocab_size: Random words are drawn below it.
        random: Random generator.
        share: Share of words to select; at least one is selected in each row that has words.
    """
    draws = np.where(special, np.inf, random.random(ids.shape))
    selected = draws < share
    # At least one per row: a batch without selected words would have no loss.
    lowest = draws.argmin(axis=1)
    rows = np.arange(len(ids))
    selected[rows, lowest] |= np.isfinite(draws[rows, lowest])
    labels = np.where(selected, ids, IGNORED)
    choice = random.random(ids.shape)
    hidden = np.where(selected & (choice < MASKED), mask_id, ids)
    others = random.integers(vocab_size, size=ids.shape)
    return np.where(selected & (choice >= MASKED) & (choice < MASKED + REPLACED), others, hidden), labels
