"""Word neighbours: for each word those with the most similar embeddings, as replacements in text variants."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch

from mbert_onnx.training.inputs.teacher_logits import classifier_of, word_embeddings_of

Neighbours = Mapping[str, Sequence[str]]
"""Neighbours of each word, the nearest first."""

NEIGHBOURS = 10
"""Neighbours per word; TinyBERT's augmentation uses 15 (Jiao et al., arXiv 1909.10351, appendix)."""

ROWS = 1024
"""Words whose similarities are computed in one batch."""


def word_neighbours_of(checkpoint: str, words: Collection[str], count: int = NEIGHBOURS) -> dict[str, list[str]]:
    """Returns for each word that is a token the words with the largest cosine similarity of their embeddings.

    Embeddings are centred first, because those of a model have a large common part.

    Args:
        checkpoint: Classifier, ours or any class of transformers, with its tokenizer.
        words: Candidate words; other tokens neither have neighbours nor are neighbours.
        count: Largest number of neighbours of a word.

    Raises CheckpointError for a checkpoint that cannot be loaded.
    """
    tokenizer, model = classifier_of(checkpoint)
    known, table = tokenizer.get_vocab(), word_embeddings_of(model)
    common = sorted(word for word in words if word in known and word.isalpha())
    if len(common) < 2:
        return {}
    rows = table[[known[word] for word in common]]
    rows = torch.nn.functional.normalize(rows - rows.mean(0), dim=1)
    found: dict[str, list[str]] = {}
    for start in range(0, len(common), ROWS):
        part = rows[start : start + ROWS]
        cosines = part @ rows.T
        here = torch.arange(len(part))
        cosines[here, here + start] = -torch.inf  # itself
        nearest = cosines.topk(min(count, len(common) - 1), dim=1).indices.tolist()
        found |= {common[start + row]: [common[one] for one in those] for row, those in enumerate(nearest)}
    return found
