"""Rows of CSV, of TSV and of lines of text.

A quote of a CSV that is never closed makes a row of all lines behind it. Such a row is bad, and the lines behind its
first are read again as rows. In a TSV a quote is a part of the text, as in GLUE: it neither joins lines nor hides tabs.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import pyarrow as pa

from mbert_onnx.errors import DataError
from mbert_onnx.prediction.reading.blocks import Block, Pending, decoded_lines
from mbert_onnx.prediction.reading.layout import Layout
from mbert_onnx.prediction.reading.sources import CSV, LINES, TSV, ByteStream, Source, open_bytes
from mbert_onnx.text.text_files import SEPARATOR_LINE, SEPARATORS, count_of, unquoted

# The column of a file of lines.
TEXT = "text"
# Most characters of a cell. A quote that is not closed is noticed after so many.
LONGEST_CELL = 2**20

ENDS = "\r\n"
# A line: its number, its text, and why it is bad, or None.
Line = tuple[int, str, str | None]
# A record: its first line, its cells, and why it is bad, or None.
Record = tuple[int, Sequence[str], str | None]


def header_of(source: Source) -> list[str]:
    """Returns the names of a file's columns. Raises DataError for a file that has no header, or cannot be read."""
    with open_bytes(source) as file:
        return _records(source, file)[0]


def delimited_blocks(source: Source, layout: Layout, skip: int) -> Iterator[Block]:
    """Yields the rows of a file behind its first `skip` records, in blocks."""
    assert layout.schema is not None
    names = layout.schema.names
    with open_bytes(source) as file:
        header, records = _records(source, file)
        places = [header.index(name) for name in names]
        texts = [header.index(name) for name in layout.arguments]
        pending, count = Pending(), skip

        def block() -> Block:
            columns = list(zip(*pending.rows, strict=True)) or [()] * len(header)
            table = pa.Table.from_arrays([pa.array(columns[place], pa.string()) for place in places], names)
            arguments = tuple(list(columns[place]) for place in texts)
            return Block(arguments, table, pending.lines, pending.bad, count, file.bytes_read)

        for line, cells, reason in islice(records, skip, None):
            count += 1
            if reason is None and len(cells) != len(header):
                reason = f"the row has {count_of(len(cells), 'field')}, expected {len(header)} as in the header"
            if reason is not None:
                pending.bad.append((line, reason))
            else:
                pending.rows.append(cells)
                pending.lines.append(line)
                pending.text += sum([len(cells[place]) for place in texts])
                pending.kept += sum(map(len, cells))
            if pending.is_full:
                yield block()
                pending = Pending()
        if pending.lines or pending.bad:
            yield block()


def _records(source: Source, file: ByteStream) -> tuple[list[str], Iterator[Record]]:
    """Returns the header of a file and an iterator of its records."""
    if source.format == LINES:
        return [TEXT], ((line, (text.rstrip(ENDS),), reason) for line, text, reason in decoded_lines(file.stream))
    lines = decoded_lines(file.stream)
    number, first, reason = next(lines, (1, "", None))
    if source.format == CSV and (named := SEPARATOR_LINE.match(f"{first.rstrip(ENDS)}\n")):
        number, first, reason = next(lines, (2, "", None))
        separator = named[2]
    else:
        separator = "\t" if source.format == TSV else _separator(first)
    if reason is not None:
        raise DataError(f"{source.name}, line {number}: {reason}; expected the names of the columns: correct the file")
    if not first.strip():
        raise DataError(
            f"{source.name} is empty; expected the names of the columns in line {number}: give another file"
        )
    if "\0" in first:
        raise DataError(f"{source.name} is not text; expected {source.format.upper()}: give --format, or another file")
    if source.format == TSV:
        header = [unquoted(cell) for cell in first.rstrip(ENDS).split("\t")]
        return header, _tsv_records(lines)
    if "\r" in first.rstrip(ENDS):
        raise DataError(
            f"{source.name}, line {number} has line ends of \\r alone; expected \\n or \\r\\n: convert them with "
            "tr '\\r' '\\n'"
        )
    feed = _Feed(lines, (number, first, None))
    try:
        header = next(csv.reader(feed, delimiter=separator))
    except csv.Error as error:
        raise DataError(f"{source.name}, line {number} is not CSV ({error}); correct the file") from None
    return header, _csv_records(feed, separator)


def _separator(header: str) -> str:
    """Returns the separator that is in a header most often; the comma where none is."""
    return max(SEPARATORS, key=header.count)


def _tsv_records(lines: Iterator[Line]) -> Iterator[Record]:
    for number, text, reason in lines:
        if line := text.rstrip(ENDS):
            cells = line.split("\t")
            yield number, [unquoted(cell) for cell in cells] if '"' in line else cells, reason


class _Feed:
    """The lines for `csv.reader`, which remembers those of the current record so that they can be read again."""

    def __init__(self, lines: Iterator[Line], first: Line) -> None:
        self._lines = lines
        self._again = deque([first])
        self.record: list[Line] = []
        self.is_at_end = False

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines, None)
        if line is None:
            self.is_at_end = True
            raise StopIteration
        self.record.append(line)
        return line[1]

    def read_again(self) -> None:
        """Puts the lines of the current record back, except its first."""
        self._again.extendleft(reversed(self.record[1:]))
        self.is_at_end = False


def _csv_records(feed: _Feed, separator: str) -> Iterator[Record]:
    if csv.field_size_limit() < LONGEST_CELL:
        csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(feed, delimiter=separator)
    while True:
        feed.record.clear()
        reason = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            is_long = any(len(line) > LONGEST_CELL for _, line, _ in feed.record)
            why = f"a value has more than {LONGEST_CELL:,} characters; shorten it" if is_long else f"not CSV ({error})"
            cells, reason = [], why
        if feed.is_at_end or (reason is not None and len(feed.record) > 1):
            reason = "a quote is opened and not closed"
            feed.read_again()
        elif reason is None and cells == []:  # a blank line
            continue
        yield feed.record[0][0], cells, reason or next((bad for _, _, bad in feed.record if bad), None)
