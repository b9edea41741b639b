"""The texts that pre-training reads: documents of sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mbert_onnx.errors import DataError
from mbert_onnx.training.data.corpus.lines import kind_of, read_lines
from mbert_onnx.training.data.table import is_held_out, read_table

# A document is a list of sentences, in their order.
Document = list[str]


def read_corpus(
    paths: Sequence[Path], columns: Sequence[str] = ("text",), *, id: str | None = None, every: int | None = None
) -> Iterator[Document]:
    """The documents of files, in their order; one that is the same as the one before is left out.

    Of a `.txt`, a sentence a line and a blank line between documents, as BERT's own tools read it; of a `.tsv`, `.csv`
    or `.jsonl`, the lines in the first of `columns` that it has, each row a document.

    Args:
        paths: The files.
        columns: The columns of texts.
        id: The column of the rows' own names.
        every: Rows whose name, a whole number, this divides are left out: they are kept to be measured on.

    Raises DataError for a file that cannot be read, lacks the columns, or has no text.
    """
    for path in paths:
        documents = _of_lines(path) if kind_of(path) in (".txt", "") else _of_rows(path, columns, id, every)
        last: Document = []
        for document in documents:
            if document != last:
                yield document
            last = document
        if not last:
            rest = "" if every is None else f", but for rows whose {id} {every} divides, which are held out"
            raise DataError(f"{path} has no text{rest}; expected sentences. Name a file with texts.")


def corpus_from_hub(rows: Iterable[dict[str, Any]], column: str) -> Iterator[Document]:
    """The documents of a dataset of the hub: the lines of `column`, each row a document."""
    for row in rows:
        document = _lines_of(row[column])
        if document:
            yield document


def _of_lines(path: Path) -> Iterator[Document]:
    document: Document = []
    for _, line in read_lines(path):
        if line.strip():
            document.append(line.strip())
        elif document:
            yield document
            document = []
    if document:
        yield document


def _of_rows(path: Path, columns: Sequence[str], id: str | None, every: int | None) -> Iterator[Document]:
    for number, row in read_table(path, [] if id is None or every is None else [id]):
        where = f"{path}, line {number}"
        column = next((name for name in columns if name in row), None)
        if column is None:
            raise DataError(f"{where} has the columns {', '.join(row)}; expected {' or '.join(columns)} among them.")
        if id is not None and every is not None and is_held_out(row[id], every, f"{where}, {id}"):
            continue
        value = row[column]
        if not isinstance(value, str):
            raise DataError(f"{where} has a {type(value).__name__} in {column}; expected a text.")
        document = _lines_of(value)
        if document:
            yield document


def _lines_of(text: str) -> Document:
    return [line.strip() for line in text.splitlines() if line.strip()]
