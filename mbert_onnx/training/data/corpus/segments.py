"""Documents become the rows of pre-training: as many sentences as fit, in two parts if the next sentence is asked for.

Of two parts, the second is what follows in the document, or, half the time, what stands in another one (Devlin et al.
2018, arXiv 1810.04805, section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.training.data.corpus.documents import Document

# Where the next sentence is asked for, the share of rows whose second part is from elsewhere.
ELSEWHERE = 0.5
# [CLS] A [SEP], and [SEP] after B.
ONE_PART, TWO_PARTS = 2, 3

FOLLOWS, DOES_NOT = 0, 1

# How many documents are held at a time, out of which what does not follow is taken.
SHARD = 10_000

# A document's sentences, as ids.
Tokens = list[list[int]]


@dataclass(frozen=True, slots=True)
class Segments:
    """A row: the ids of its first part, those of its second, and whether that follows: 0, or 1 if it does not.

    Where the next sentence is not asked for, `second` is empty and `next_sentence` is 0.
    """

    first: list[int]
    second: list[int]
    next_sentence: int


def segments_of(
    documents: Iterable[Document], encoder: TextEncoder, *, max_length: int, next_sentence: bool, seed: int
) -> Iterator[Segments]:
    """The rows of a corpus, in its order.

    Args:
        documents: As many as there are; so many at a time are in memory as `SHARD` says.
        encoder: The tokenizer.
        max_length: The most tokens of a row, special ones included.
        next_sentence: Whether rows have two parts.
        seed: Of what is taken from where.
    """
    random = np.random.default_rng(seed)
    room = max_length - (TWO_PARTS if next_sentence else ONE_PART)
    # Where there are two parts, one sentence must leave room for another.
    longest = room // 2 if next_sentence else room
    remaining = iter(documents)
    while shard := list(islice(remaining, SHARD)):
        tokens = [document for document in (_tokens(sentences, encoder, longest) for sentences in shard) if document]
        yield from _pairs(tokens, room, random) if next_sentence else _singles(tokens, room)


def _singles(documents: list[Tokens], room: int) -> Iterator[Segments]:
    for document in documents:
        start = 0
        while start < len(document):
            end = _end(document, start, room)
            yield Segments(_joined(document[start:end]), [], FOLLOWS)
            start = end


def _pairs(documents: list[Tokens], room: int, random: np.random.Generator) -> Iterator[Segments]:
    for number, document in enumerate(documents):
        start = 0
        while start < len(document):
            row, start = _in_two(documents, number, start, _end(document, start, room), room, random)
            yield row


def _in_two(
    ids: list[Tokens], number: int, start: int, end: int, room: int, random: np.random.Generator
) -> tuple[Segments, int]:
    """A row that begins at a sentence, and the sentence at which the next row begins."""
    document = ids[number]
    cut = start + int(random.integers(1, max(end - start, 2)))
    first, after = _joined(document[start:cut]), _joined(document[cut:end])
    if after and (len(ids) == 1 or random.random() >= ELSEWHERE):
        return Segments(first, after, FOLLOWS), end
    # A single document has no other; then its beginning is what follows nothing.
    other = ids[(number + 1 + int(random.integers(max(len(ids) - 1, 1)))) % len(ids)]
    begin = int(random.integers(len(other)))
    # As long as what does follow, or the length would tell which it is.
    elsewhere = _joined(other[begin:])[: len(after) or room - len(first)]
    # What was not used of this document begins the next row.
    return Segments(first, elsewhere, DOES_NOT), cut


def _tokens(sentences: Document, encoder: TextEncoder, longest: int) -> Tokens:
    """A document's ids; a sentence that is too long becomes several, so that nothing of it is lost."""
    pieces: Tokens = []
    for sentence in sentences:
        ids = encoder.tokenizer.encode(sentence, add_special_tokens=False).ids
        pieces += [ids[start : start + longest] for start in range(0, len(ids), longest)]
    return pieces


def _joined(sentences: Tokens) -> list[int]:
    return [token for sentence in sentences for token in sentence]


def _end(document: Tokens, start: int, room: int) -> int:
    """The end of the sentences that fit from `start` on; one at least."""
    total, end = len(document[start]), start + 1
    while end < len(document) and total + len(document[end]) <= room:
        total += len(document[end])
        end += 1
    return end
