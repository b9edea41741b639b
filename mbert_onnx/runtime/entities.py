"""Entities in a text: the label of each token, and neighbours with the same label as one.

Groups are those of transformers' token-classification pipeline with `aggregation_strategy="simple"`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mbert_onnx.runtime.answers import Result, label_of, softmax
from mbert_onnx.text.encoder import Tokens

OUTSIDE = "O"  # the label of tokens that are part of no entity


@dataclass(frozen=True)
class TokenEntity(Result):
    """One token with a label. `index` is its place among the text's tokens; [CLS] is 0."""

    entity: str
    score: float
    index: int
    word: str
    start: int
    end: int


@dataclass(frozen=True)
class Entity(Result):
    """Neighbouring tokens with the same label: [start, end) of the text, and the mean of their probabilities."""

    entity_group: str
    score: float
    word: str
    start: int
    end: int


def label_tokens(
    logits: np.ndarray, tokens: Tokens, config: Mapping[str, Any], *, unknown_token: str | None, first_index: int
) -> list[TokenEntity]:
    """The best label of every token, `O` included, for logits `[tokens, labels]`.

    `first_index` is the index of the text's first token: the number of special ones before it. The word of a token
    that the vocabulary does not know is what the text has there.
    """
    entities = []
    for place, scores in enumerate(softmax(logits)):
        label = int(scores.argmax())
        start, end = tokens.offsets[place]
        token = tokens.tokens[place]
        word = tokens.text[start:end] if token == unknown_token else token
        entities.append(
            TokenEntity(label_of(config, label), float(scores[label]), first_index + place, word, start, end)
        )
    return entities


def without_outside(entities: Sequence[TokenEntity]) -> list[TokenEntity]:
    return [entity for entity in entities if entity.entity != OUTSIDE]


def group_tokens(entities: Sequence[TokenEntity], join: Callable[[list[str]], str]) -> list[Entity]:
    """Entities of neighbouring tokens, for the labels of all tokens of a text; `join` makes tokens one word.

    `B-` begins an entity; any other label continues that of the token before it if the rest of its name is the same.
    """
    groups: list[list[TokenEntity]] = []
    for entity in entities:
        if groups and not entity.entity.startswith("B-") and _kind(entity) == _kind(groups[-1][-1]):
            groups[-1].append(entity)
        else:
            groups.append([entity])
    return [
        Entity(
            # The group's name loses any prefix, not only B- and I-: that is how the pipeline names E- and S-, too.
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
    """The label without its `B-` or `I-`."""
    return entity.entity[2:] if entity.entity.startswith(("B-", "I-")) else entity.entity
