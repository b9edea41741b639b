"""Readers of packages with English text, and the table of these packages: licence, cap and file of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from examples.reference.corpus.documents import Document
from examples.reference.corpus.packages import Package
from examples.reference.corpus.sources import wordnet


@dataclass(frozen=True)
class Source:
    """Text of one package.

    Args:
        file: Name of the corpus file, without `.txt`.
        content: What the text is, for the model card.
        package: The package.
        read: Yields the documents of the unpacked package.
        cap: Largest number of words that is taken, from the beginning.
    """

    file: str
    content: str
    package: Package
    read: Callable[[Path], Iterator[Document]]
    cap: int


SOURCES = (
    Source(
        "glosses",
        "glosses and examples of WordNet 3.0",
        Package("debian", "wordnet-base", "1:3.0-37", "WordNet-3.0"),
        wordnet.read,
        2_500_000,
    ),
)
