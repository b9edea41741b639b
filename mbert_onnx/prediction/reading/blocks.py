"""Blocks: consecutive rows of one file, before they get their places in the job as chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa

# Limits of a block: rows; characters of the texts for the model, for a few seconds of work at most; and characters of
# all columns that are kept, for the memory.
MOST_ROWS = 1_024
MOST_TEXT = 2**17
MOST_KEPT = 2**22
# Longest line in bytes; a file without line ends would fill the memory.
LONGEST_LINE = 2**24


@dataclass
class Block:
    """Rows of one file.

    Args:
        arguments: The model's arguments; for each of them a list with one text for each row.
        rows: The columns that are kept, one row for each text.
        lines: The line of each row.
        bad: The line and reason of each row that cannot be processed.
        records: How many records of the file were read, up to the end of this block.
        bytes_read: How many bytes of the file were read.
    """

    arguments: tuple[list[str], ...]
    rows: pa.Table
    lines: list[int]
    bad: list[tuple[int, str]]
    records: int
    bytes_read: int


@dataclass
class Pending:
    """Rows that are collected for the next block."""

    rows: list[Any] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    text: int = 0
    kept: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.lines) + len(self.bad) >= MOST_ROWS or self.text >= MOST_TEXT or self.kept >= MOST_KEPT


def decoded_lines(stream: BinaryIO) -> Iterator[tuple[int, str, str | None]]:
    """Yields the number of each line, the line with its end, and why it is bad, or None.

    A line that is not UTF-8 has question marks in its place; one that is too long is cut.
    """
    for number, raw in enumerate(iter(partial(stream.readline, LONGEST_LINE), b""), 1):
        reason = None
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            reason = f"the line is longer than {LONGEST_LINE // 2**20} MB; split it"
            while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
        try:
            line = raw.decode()
        except UnicodeDecodeError as error:
            reason = reason or not_utf8(error)
            line = raw.decode(errors="replace")
        yield number, line, reason


def not_utf8(error: UnicodeDecodeError) -> str:
    """Returns the reason for a line that is not UTF-8."""
    return f"not valid UTF-8: byte {error.start} of the line is 0x{error.object[error.start]:02x}"
