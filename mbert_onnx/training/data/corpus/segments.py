"""Rows of pre-training: as many sentences of a document as fit, in two parts for next-sentence prediction.

The second part continues the document or, in half of the rows, comes from another document (Devlin et al. 2018, arXiv
1810.04805, section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.training.data.corpus.documents import Document

# Share of rows whose second part is from another document.
UNRELATED_SHARE = 0.5
# [CLS] A [SEP], and [SEP] after B.
ONE_PART, TWO_PARTS = 2, 3

IS_NEXT, NOT_NEXT = 0, 1

# Documents in memory at a time; unrelated second parts are drawn from them.
SHARD_DOCUMENTS = 10_000

# Token ids of a document's sentences.
Tokens = list[list[int]]


@dataclass(frozen=True, slots=True)
class Segments:
    """A row: token ids of its two parts, and `next_sentence`: 0 if the second follows the first, else 1.

    Without next-sentence prediction `second` is empty and `next_sentence` is 0.
    """

    first: list[int]
    second: list[int]
    next_sentence: int


def segments_of(
    documents: Iterable[Document], encoder: TextEncoder, *, max_length: int, next_sentence: bool, seed: int
) -> Iterator[Segments]:
    """Yields the rows of a corpus in order.

    Args:
        documents: The documents; `SHARD_DOCUMENTS` at a time are in memory.
        encoder: The tokenizer.
        max_length: Largest number of tokens in a row, special tokens included.
        next_sentence: Whether rows have two parts.
        seed: Random seed.
    """
    random = np.random.default_rng(seed)
    room = max_length - (TWO_PARTS if next_sentence else ONE_PART)
    # With two parts, one sentence must leave room for another.
    longest = room // 2 if next_sentence else room
    remaining = iter(documents)
    while shard := list(islice(remaining, SHARD_DOCUMENTS)):
        tokens = [document for document in (_tokens(sentences, encoder, longest) for sentences in shard) if document]
        yield from _pairs(tokens, room, random) if next_sentence else _singles(tokens, room)


def _singles(documents: list[Tokens], room: int) -> Iterator[Segments]:
    for document in documents:
        start = 0
        while start < len(document):
            end = _end(document, start, room)
            yield Segments(_joined(document[start:end]), [], IS_NEXT)
            start = end


def _pairs(documents: list[Tokens], room: int, random: np.random.Generator) -> Iterator[Segments]:
    for number, document in enumerate(documents):
        start = 0
        while start < len(document):
            row, start = _next_pair(documents, number, start, _end(document, start, room), room, random)
            yield row


def _next_pair(
    ids: list[Tokens], number: int, start: int, end: int, room: int, random: np.random.Generator
) -> tuple[Segments, int]:
    """Returns the row that begins at sentence `start`, and the sentence where the next row begins."""
    document = ids[number]
    cut = start + int(random.integers(1, max(end - start, 2)))
    first, after = _joined(document[start:cut]), _joined(document[cut:end])
    if after and (len(ids) == 1 or random.random() >= UNRELATED_SHARE):
        return Segments(first, after, IS_NEXT), end
    # A shard with a single document has no other one; the part then comes from the document itself.
    other = ids[(number + 1 + int(random.integers(max(len(ids) - 1, 1)))) % len(ids)]
    begin = int(random.integers(len(other)))
    # As long as the real continuation, else the length would reveal the label.
    unrelated = _joined(other[begin:])[: len(after) or room - len(first)]
    # The unused part of this document begins the next row.
    return Segments(first, unrelated, NOT_NEXT), cut


def _tokens(sentences: Document, encoder: TextEncoder, longest: int) -> Tokens:
    """Returns a document's token ids; a sentence that is too long is split, so that no token is lost."""
    pieces: Tokens = []
    for sentence in sentences:
        ids = encoder.tokenizer.encode(sentence, add_special_tokens=False).ids
        pieces += [ids[start : start + longest] for start in range(0, len(ids), longest)]
    return pieces


def _joined(sentences: Tokens) -> list[int]:
    return [token for sentence in sentences for token in sentence]


def _end(document: Tokens, start: int, room: int) -> int:
    """Returns the end of the sentences from `start` on that fit; at least one."""
    total, end = len(document[start]), start + 1
    while end < len(document) and total + len(document[end]) <= room:
        total += len(document[end])
        end += 1
    return end
