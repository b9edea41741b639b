"""Overlap of training texts with held-out texts: shared n-grams of words, as GPT-3's authors searched their corpus.

Brown et al. 2020, arXiv 2005.14165, appendix C, with 13-grams; shorter ones find quotations in short texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from examples.reference.corpus.documents import Document

WORD = re.compile(r"[^\W_]+")

# Words of an n-gram. A held-out text with fewer words is compared as a whole, if it has enough words to mean something.
LENGTH = 8
SHORTEST = 4


class HeldOut:
    """Held-out texts, by which training documents are filtered."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._grams: set[tuple[str, ...]] = set()
        self._short: set[tuple[str, ...]] = set()
        for text in texts:
            words = _words(text)
            if len(words) >= LENGTH:
                self._grams.update(_grams(words))
            elif len(words) >= SHORTEST:
                self._short.add(words)

    def overlaps(self, document: Document) -> bool:
        """Returns whether a document shares an n-gram with a held-out text, or has a short one as a sentence."""
        if any(_words(sentence) in self._short for sentence in document):
            return True
        return any(gram in self._grams for gram in _grams(_words(" ".join(document))))

    def without(self, documents: Iterable[Document]) -> list[Document]:
        """Returns the documents that do not overlap with a held-out text."""
        return [document for document in documents if not self.overlaps(document)]


def _words(text: str) -> tuple[str, ...]:
    return tuple(WORD.findall(text.lower()))


def _grams(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for start in range(len(words) - LENGTH + 1):
        yield words[start : start + LENGTH]
