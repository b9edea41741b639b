"""Variants of texts, on which a teacher's opinion is learnt where there are few texts of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mbert_onnx.training.data.example import Example
from mbert_onnx.training.inputs.word_neighbours import Neighbours

# What a variant is, by equal chances.
KINDS = ("part", "gaps", "joined", "words")
# A pair says what it says by how its texts belong together, so that these alone become of it.
KINDS_OF_PAIRS = ("gaps", "words")
# A part has this share of the words at least, and so many of them.
LEAST_SHARE, LEAST_WORDS = 0.3, 3
# Of words that are left out, and of those that are replaced.
GAPS, REPLACED = 0.15, 0.3


def variants_of(examples: Sequence[Example], count: int, seed: int, neighbours: Neighbours) -> Iterator[Example]:
    """So many variants of each text, without labels: what they mean, only a teacher can tell.

    A variant is a part of the text, the text with gaps, parts of two texts, or the text with other words: neighbours,
    of which some mean much the same and some the opposite.

    Args:
        examples: The texts.
        count: How many of each.
        seed: Of what is drawn.
        neighbours: Of words in lower case.
    """
    random = np.random.default_rng(seed)
    for example in examples:
        for number in range(count):
            kinds = KINDS if example.pair is None else KINDS_OF_PAIRS
            kind = kinds[int(random.integers(len(kinds)))]
            text = _varied(example.text, kind, examples, random, neighbours)
            pair = None if example.pair is None else _varied(example.pair, kind, examples, random, neighbours)
            yield Example(id=f"{example.id} variant {number}", text=text, pair=pair)


def _varied(
    text: str, kind: str, examples: Sequence[Example], random: np.random.Generator, neighbours: Neighbours
) -> str:
    words = text.split()
    if kind == "joined":
        other = examples[int(random.integers(len(examples)))].text.split()
        words = _part(words, random) + _part(other, random)
    elif kind == "part":
        words = _part(words, random)
    elif kind == "words":
        words = [_other(word, random, neighbours) if random.random() < REPLACED else word for word in words]
    else:
        kept = [word for word in words if random.random() >= GAPS]
        words = kept or words[:1]
    return " ".join(words)


def _other(word: str, random: np.random.Generator, neighbours: Neighbours) -> str:
    """One of a word's neighbours; the word itself where it has none."""
    others = neighbours.get(word.lower(), [])
    return others[int(random.integers(len(others)))] if others else word


def _part(words: list[str], random: np.random.Generator) -> list[str]:
    """Some words in a row."""
    least = min(max(round(LEAST_SHARE * len(words)), LEAST_WORDS), len(words))
    length = int(random.integers(least, len(words) + 1))
    start = int(random.integers(len(words) - length + 1))
    return words[start : start + length]
