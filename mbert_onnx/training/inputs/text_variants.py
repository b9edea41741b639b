"""Text variants: additional training texts without labels, for which the student learns the teacher logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mbert_onnx.training.data.example import Example
from mbert_onnx.training.inputs.word_neighbours import Neighbours

# Kinds of variants, drawn with equal probability.
KINDS = ("part", "gaps", "joined", "words")
# Kinds for pairs: the others would break the relation of the two texts.
KINDS_OF_PAIRS = ("gaps", "words")
# Smallest share of words in a part, and smallest number.
LEAST_SHARE, LEAST_WORDS = 0.3, 3
# Share of words left out by `gaps`, and replaced by `words`.
GAPS, REPLACED = 0.15, 0.3


def variants_of(examples: Sequence[Example], count: int, seed: int, neighbours: Neighbours) -> Iterator[Example]:
    """Yields variants of each text, without labels.

    A variant is a part of the text, the text with gaps, parts of two texts joined, or the text with words replaced by
    word neighbours. A neighbour may be a synonym or an antonym, so that the label of the text need not hold.

    Args:
        examples: The texts.
        count: Number of variants of each text.
        seed: Random seed.
        neighbours: Word neighbours by word, in lower case.
    """
    random = np.random.default_rng(seed)
    for example in examples:
        for number in range(count):
            kinds = KINDS if example.pair is None else KINDS_OF_PAIRS
            kind = kinds[int(random.integers(len(kinds)))]
            text = _variant(example.text, kind, examples, random, neighbours)
            pair = None if example.pair is None else _variant(example.pair, kind, examples, random, neighbours)
            yield Example(id=f"{example.id} variant {number}", text=text, pair=pair)


def _variant(
    text: str, kind: str, examples: Sequence[Example], random: np.random.Generator, neighbours: Neighbours
) -> str:
    words = text.split()
    if kind == "joined":
        other = examples[int(random.integers(len(examples)))].text.split()
        words = _part(words, random) + _part(other, random)
    elif kind == "part":
        words = _part(words, random)
    elif kind == "words":
        words = [_neighbour(word, random, neighbours) if random.random() < REPLACED else word for word in words]
    else:
        kept = [word for word in words if random.random() >= GAPS]
        words = kept or words[:1]
    return " ".join(words)


def _neighbour(word: str, random: np.random.Generator, neighbours: Neighbours) -> str:
    """Returns a random neighbour of a word, or the word itself if it has none."""
    others = neighbours.get(word.lower(), [])
    return others[int(random.integers(len(others)))] if others else word


def _part(words: list[str], random: np.random.Generator) -> list[str]:
    """Returns a random run of consecutive words."""
    least = min(max(round(LEAST_SHARE * len(words)), LEAST_WORDS), len(words))
    length = int(random.integers(least, len(words) + 1))
    start = int(random.integers(len(words) - length + 1))
    return words[start : start + length]
