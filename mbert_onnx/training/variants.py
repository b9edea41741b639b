"""Variants of texts, on which a teacher's opinion is learnt where there are few texts: parts, gaps, two in one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mbert_onnx.data.example import Example

# What a variant is, by equal chances.
KINDS = ("part", "gaps", "joined")
# A part has this share of the words at least, and so many of them.
LEAST_SHARE, LEAST_WORDS = 0.3, 3
# Of words that are left out.
GAPS = 0.15


def variants_of(examples: Sequence[Example], count: int, seed: int) -> Iterator[Example]:
    """So many variants of each text, without labels: what a part of a text means, only a teacher can tell.

    Of a pair, both texts stay as they are but for gaps.
    """
    random = np.random.default_rng(seed)
    for example in examples:
        for number in range(count):
            kind = "gaps" if example.pair is not None else KINDS[int(random.integers(len(KINDS)))]
            text = _varied(example.text, kind, examples, random)
            pair = None if example.pair is None else _varied(example.pair, kind, examples, random)
            yield Example(id=f"{example.id} variant {number}", text=text, pair=pair)


def _varied(text: str, kind: str, examples: Sequence[Example], random: np.random.Generator) -> str:
    words = text.split()
    if kind == "joined":
        other = examples[int(random.integers(len(examples)))].text.split()
        words = _part(words, random) + _part(other, random)
    elif kind == "part":
        words = _part(words, random)
    else:
        kept = [word for word in words if random.random() >= GAPS]
        words = kept or words[:1]
    return " ".join(words)


def _part(words: list[str], random: np.random.Generator) -> list[str]:
    """Some words in a row."""
    least = min(max(round(LEAST_SHARE * len(words)), LEAST_WORDS), len(words))
    length = int(random.integers(least, len(words) + 1))
    start = int(random.integers(len(words) - length + 1))
    return words[start : start + length]
