"""Entries of dictionaries in DICT's format: the headword, then its definition, indented."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from examples.reference.corpus.documents import Document, sentences_of

# Brackets have etymologies, references and dates.
BRACKETS = re.compile(r"\[[^\[\]]*\]|\(\d{4}-\d\d-\d\d\)|<[^<>]{1,40}>|\{\(?https?:[^}]*\}")
# Braces mark links, underscores stress; numbers and letters count senses.
LINKS = re.compile(r"[{}]|__")
SENSES = re.compile(r"(?:^|(?<=\s))(?:\d+\.|\([a-z]\))(?=\s)")
BEFORE_STOP = re.compile(r"\s+(?=[,.;:])(?!\.\w)")
# Author of a quotation: --Shak.
CITATION = re.compile(r"--\s?[A-Z][\w.&' ]*?(?=\s{2}|$|\s[A-Z\d])")
# Headword, pronunciation and part of speech of a line of GCIDE.
GCIDE_HEAD = re.compile(r"^([^\\\n]+?) +\\")

# Words of the shortest definition that says something, and of the longest that is one passage.
SHORTEST, LONGEST = 6, 250


def read_gcide(folder: Path) -> Iterator[Document]:
    """Yields the definitions of GCIDE, headword first."""
    for entry in _entries(folder / "usr/share/dictd/gcide.dict.dz", "latin-1"):
        head = GCIDE_HEAD.match(entry)
        if head is not None:
            # Without brackets, the first line has pronunciation and part of speech only.
            lines = _without_brackets(entry).splitlines()[1:]
            yield from _definition(head[1], "\n".join(line for line in lines if not line.strip().startswith("Syn:")))


def read_foldoc(folder: Path) -> Iterator[Document]:
    """Yields the definitions of FOLDOC, headword first."""
    for entry in _entries(folder / "usr/share/dictd/foldoc.dict.dz", "utf-8"):
        head, _, body = entry.partition("\n")
        if not head.startswith("00-database"):
            yield from _definition(head.strip(), body)


def _entries(path: Path, encoding: str) -> Iterator[str]:
    with gzip.open(path, "rt", encoding=encoding, errors="replace") as file:
        yield from re.split(r"\n(?=\S)", file.read())


def _without_brackets(text: str) -> str:
    shorter = BRACKETS.sub(" ", text)
    return text if shorter == text else _without_brackets(shorter)


def _definition(head: str, body: str) -> Iterator[Document]:
    text = LINKS.sub("", CITATION.sub(" ", _without_brackets(body)))
    text = BEFORE_STOP.sub("", " ".join(SENSES.sub(" ", text).split()))
    if SHORTEST <= len(text.split()) <= LONGEST and "\ufffd" not in text:
        yield sentences_of(f"{head}: {text}")
