"""Documents of a corpus, each a list of sentences, and the files that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

# Sentences of one document, in order. A document is what a passage of neighbouring sentences may be taken from.
Document = list[str]

# End of a sentence: a stop, quotation marks or brackets after it, and a space before what may begin a sentence.
END = re.compile(r"(?<=[.!?])[\"')\]”’]*(\s+)(?=[\"'(\[“‘]*[A-Z0-9])")

# A stop behind these does not end a sentence; a single capital letter is an initial.
ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Sr|Jr|Gen|Col|Lt|Capt|Prof|Rev|Mt|No|Nos|vs|cf|ca|c|e\.g|i\.e|etc|al|Fig|approx"
    r"|Inc|Ltd|Co|Corp|Jan|Feb|Mar|Apr|Aug|Sept|Oct|Nov|Dec))\.$"
)


def sentences_of(paragraph: str) -> Document:
    """Returns the sentences of a paragraph; runs of white space become one space."""
    text = " ".join(paragraph.split())
    sentences: Document = []
    start = 0
    for match in END.finditer(text):
        sentence = text[start : match.start(1)]
        if not ABBREVIATION.search(sentence):
            sentences.append(sentence)
            start = match.end(1)
    return [*sentences, text[start:]] if start < len(text) else sentences


def count_words(documents: Iterable[Document]) -> int:
    """Returns the number of words, separated by white space."""
    return sum(len(sentence.split()) for document in documents for sentence in document)


def write_documents(path: Path, documents: Iterable[Document]) -> None:
    """Writes a `.txt` in the format of `[data] files`: a sentence a line, a blank line between documents."""
    content = "\n\n".join("\n".join(document) for document in documents) + "\n"
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(content, encoding="utf-8")
    partial.replace(path)
