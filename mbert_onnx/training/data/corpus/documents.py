"""Documents of a corpus, each a list of sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mbert_onnx.errors import DataError
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.training.data.corpus.lines import kind_of, read_lines
from mbert_onnx.training.data.table import is_held_out, read_table

# The sentences of a document, in order.
Document = list[str]


def read_corpus(
    paths: Sequence[Path], columns: Sequence[str] = ("text",), *, id: str | None = None, every: int | None = None
) -> Iterator[Document]:
    """Yields the documents of files in order; a document equal to the previous one is skipped.

    In a `.txt` each line is a sentence and a blank line separates documents, as in BERT's tools. In a `.tsv`, `.csv`
    or `.jsonl` each row is a document: the lines of the first of `columns` that the row has.

    Args:
        paths: The files.
        columns: Text columns.
        id: Column of the row id.
        every: Rows whose id is a multiple of this number are skipped, since they are held out.

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
            exception = "" if every is None else f" except in rows held out, whose {id} is a multiple of {every}"
            raise DataError(f"{path} has no text{exception}; expected sentences. Name a file with texts.")


def corpus_from_hub(rows: Iterable[dict[str, Any]], column: str) -> Iterator[Document]:
    """Yields the documents of a hub dataset: each row is one, with the lines of `column` as sentences."""
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
            raise DataError(f"{where} has the columns {name_list(row)}; expected {' or '.join(columns)} among them.")
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
