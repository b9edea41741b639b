"""WordNet's glosses and examples, from the data files of Debian's package `wordnet-base` (wndb(5WN))."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path

from examples.reference.corpus.documents import Document

PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")

# Neighbours in a lexicographer file are of one subject; so many are one document.
NEIGHBOURS = 8


def read(folder: Path) -> Iterator[Document]:
    """Yields documents of neighbouring synsets, each line the words of a synset and its gloss.

    Args:
        folder: Unpacked package.
    """
    for name in PARTS_OF_SPEECH:
        lines = (folder / "usr" / "share" / "wordnet" / f"data.{name}").read_text(encoding="utf-8").splitlines()
        synsets = (line for line in lines if not line.startswith(" "))  # the licence stands before, indented
        for _, neighbours in groupby(synsets, key=lambda line: line.split()[1]):
            while document := [_sentence(line) for line in islice(neighbours, NEIGHBOURS)]:
                yield document


def _sentence(synset: str) -> str:
    data, gloss = synset.split("|", 1)
    fields = data.split()
    words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
    names = ", ".join(word.split("(")[0].replace("_", " ") for word in words)  # "(a)" is an adjective's place
    return f"{names}: {' '.join(gloss.split())}"
