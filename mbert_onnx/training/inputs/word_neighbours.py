"""Words that a model takes for much the same, by its embeddings: what a text may say in place of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch

from mbert_onnx.training.inputs.teacher_logits import classifier_of, words_of

Neighbours = Mapping[str, Sequence[str]]
"""Of a word, the others, the nearest first."""

NEAREST = 10
"""So many of a word: TinyBERT's augmentation takes 15 (Jiao et al., arXiv 1909.10351, appendix)."""

ROWS = 1024
"""Words whose similarities are computed together."""


def neighbours_of(checkpoint: str, words: Collection[str], count: int = NEAREST) -> dict[str, list[str]]:
    """For each word that is one token, those of the others whose embeddings have the largest cosine with its own.

    Embeddings are centred first: all words of a model have a large part in common.

    Args:
        checkpoint: A classifier of any class of transformers, or ours, with its tokenizer.
        words: Those that are replaced, and by which.
        count: How many neighbours a word has at most.

    Raises CheckpointError for one that cannot be loaded.
    """
    tokenizer, model = classifier_of(checkpoint)
    known, table = tokenizer.get_vocab(), words_of(model)
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
