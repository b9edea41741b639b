"""Entities of a text: token labels, and groups of adjacent tokens with the same label.

Groups of tokens equal those of transformers' token-classification pipeline with `aggregation_strategy="simple"`, and
groups of words those with "first" and "max", except that a word is what the tokenizer calls a word: the pipeline takes
every unknown token for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np

from mbert_onnx.runtime.answers import Result, softmax
from mbert_onnx.text.encoder import Tokens
from mbert_onnx.text.labels import names_of

OUTSIDE = "O"  # label of tokens outside all entities

Aggregation = Literal["none", "simple", "first", "max"]
AGGREGATIONS: tuple[Aggregation, ...] = ("none", "simple", "first", "max")


@dataclass(frozen=True)
class TokenEntity(Result):
    """A labelled token. `index` is its position in the text's tokens; [CLS] has 0."""

    entity: str
    score: float
    index: int
    word: str
    start: int
    end: int


@dataclass(frozen=True)
class Entity(Result):
    """Adjacent tokens with the same label: their text [start, end), and the mean of their probabilities."""

    entity_group: str
    score: float
    word: str
    start: int
    end: int


def label_tokens(
    logits: np.ndarray, tokens: Tokens, config: Mapping[str, Any], *, unknown_token: str | None, first_index: int
) -> list[TokenEntity]:
    """Returns the best label of every token, `O` included, for logits `[tokens, labels]`.

    `first_index` is the index of the text's first token: the number of special tokens before it. The `word` of an
    unknown token is its text.
    """
    entities = []
    names = names_of(config.get("id2label"), logits.shape[-1])
    for place, scores in enumerate(softmax(logits)):
        label = int(scores.argmax())
        start, end = tokens.offsets[place]
        token = tokens.tokens[place]
        word = tokens.text[start:end] if token == unknown_token else token
        entities.append(TokenEntity(names[label], float(scores[label]), first_index + place, word, start, end))
    return entities


def label_words(
    entities: Sequence[TokenEntity],
    words: Sequence[tuple[int, int]],
    join: Callable[[list[str]], str],
    aggregation: Aggregation,
) -> list[TokenEntity]:
    """Returns one labelled token for each word, so that no word is split between entities.

    Args:
        entities: The labelled tokens of a text, `O` included.
        words: For each of them the word [start, end) that contains it.
        join: Turns tokens into their text.
        aggregation: `first` takes the label and probability of the word's first token; `max` those of its token with
            the highest probability.
    """
    found = []
    for _, pairs in groupby(zip(entities, words, strict=True), key=lambda pair: pair[1]):
        parts = [entity for entity, _ in pairs]
        chosen = parts[0] if aggregation == "first" else max(parts, key=lambda part: part.score)
        word = join([part.word for part in parts])
        found.append(replace(parts[0], entity=chosen.entity, score=chosen.score, word=word, end=parts[-1].end))
    return found


def without_outside(entities: Sequence[TokenEntity]) -> list[TokenEntity]:
    """Returns the tokens whose label is not `O`."""
    return [entity for entity in entities if entity.entity != OUTSIDE]


def group_tokens(entities: Sequence[TokenEntity], join: Callable[[list[str]], str]) -> list[Entity]:
    """Groups the labelled tokens of a text into entities; `join` turns tokens into their text.

    `B-` begins an entity. Any other label continues the previous token's entity if the name after the prefix is the
    same.
    """
    groups: list[list[TokenEntity]] = []
    for entity in entities:
        if groups and not entity.entity.startswith("B-") and _kind(entity) == _kind(groups[-1][-1]):
            groups[-1].append(entity)
        else:
            groups.append([entity])
    return [
        Entity(
            # Any prefix is removed, not only B- and I-, as in the pipeline: E-PER and S-PER become PER.
            group[0].entity.split("-", 1)[-1],
            sum(entity.score for entity in group) / len(group),
            join([entity.word for entity in group]),
            group[0].start,
            group[-1].end,
        )
        for group in groups
        if group[0].entity != OUTSIDE
    ]


def _kind(entity: TokenEntity) -> str:
    """Returns the label without its `B-` or `I-` prefix."""
    return entity.entity[2:] if entity.entity.startswith(("B-", "I-")) else entity.entity
