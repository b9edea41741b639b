"""Tokenized lines of several sources in one memory-mapped file, from which passages are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from mbert_onnx.bundles.atomic import PARTIAL, atomic_folder
from mbert_onnx.errors import DataError
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.training.data.corpus.documents import Document

TOKENS, BEGINS, ENDS, SOURCES = "tokens.bin", "begins.npy", "document_ends.npy", "source_begins.npy"
TOKEN_TYPE = np.dtype("<i4")

# Documents that are tokenized at a time, by all threads of the tokenizer.
DOCUMENTS_TOGETHER = 1000


@dataclass(frozen=True)
class Lines:
    """Token ids of lines, without special tokens.

    Args:
        tokens: Ids of all lines, one after the other; memory-mapped.
        begins: Position in `tokens` where each line begins, and where the last one ends, ``[lines + 1]``.
        document_ends: For each line, the number of the line after its document's last, ``[lines]``.
        source_begins: Number of the first line of each source, and of the line after the last, ``[sources + 1]``.
    """

    tokens: np.ndarray
    begins: np.ndarray
    document_ends: np.ndarray
    source_begins: np.ndarray

    def __len__(self) -> int:
        return len(self.document_ends)


def lines_at(folder: Path, sources: Sequence[tuple[str, Iterable[Document]]], encoder: TextEncoder) -> Lines:
    """Opens the lines in a folder; if it does not exist, writes those of `sources`, names and documents, atomically.

    Raises DataError for a source without text.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(folder, folder.with_name(f"{PARTIAL}{folder.name}")) as partial:
            _write(partial, sources, encoder)
    return Lines(
        np.memmap(folder / TOKENS, TOKEN_TYPE, mode="r"),
        *(np.load(folder / name) for name in (BEGINS, ENDS, SOURCES)),
    )


def _write(folder: Path, sources: Sequence[tuple[str, Iterable[Document]]], encoder: TextEncoder) -> None:
    lengths: list[int] = []
    ends: list[int] = []
    first_lines = [0]
    with (folder / TOKENS).open("wb") as file:
        for name, documents in sources:
            for document in _tokenized(documents, encoder):
                file.write(np.concatenate(document).astype(TOKEN_TYPE).tobytes())
                lengths += [len(line) for line in document]
                ends += [len(lengths)] * len(document)
            if len(lengths) == first_lines[-1]:
                raise DataError(f"{name} has no text; expected some.")
            first_lines.append(len(lengths))
    np.save(folder / BEGINS, np.cumsum([0, *lengths]))
    np.save(folder / ENDS, np.array(ends))
    np.save(folder / SOURCES, np.array(first_lines))


def _tokenized(documents: Iterable[Document], encoder: TextEncoder) -> Iterator[list[list[int]]]:
    """Yields the ids of each document's lines; lines without a token, such as of control characters, are left out."""
    remaining = iter(documents)
    while together := list(islice(remaining, DOCUMENTS_TOGETHER)):
        lines = [line for document in together for line in document]
        found = iter(encoder.tokenizer.encode_batch_fast(lines, add_special_tokens=False))
        for document in together:
            ids = [line.ids for line in islice(found, len(document)) if line.ids]
            if ids:
                yield ids
