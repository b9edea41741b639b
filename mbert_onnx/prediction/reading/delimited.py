"""Rows of CSV, of TSV and of lines of text.

A quote of a CSV that is not closed makes a row of lines behind it, until there is text behind a quote that closes, or
the file ends. Such a row is bad, and the lines behind its first are read again as rows. In a TSV a quote is a part of
the text, as in GLUE: it neither joins lines nor hides tabs.
"""

from __future__ import annotations

import csv
import re
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
# Most characters of a record, and of the lines that are read again more often than once.
LONGEST_RECORD = 2**24

ENDS = "\r\n"
QUOTED = re.compile('"[^"]*"')
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
                ends = sum(cell.count("\n") for cell in cells)
                reason += f"; its quotes go to line {line + ends}" if ends and source.format == CSV else ""
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
    number, first, reason = _first_line(lines)
    if source.format == CSV and (named := SEPARATOR_LINE.match(f"{first.rstrip(ENDS)}\n")):
        number, first, reason = _first_line(lines)
        separator = named[2]
    else:
        separator = "\t" if source.format == TSV else _separator(first)
    if reason is not None:
        raise DataError(f"{source.name}, line {number}: {reason}; expected the names of the columns: correct the file")
    if not first:
        raise DataError(f"{source.name} is empty; expected the names of the columns in line 1: give another file")
    if "\0" in first:
        raise DataError(f"{source.name} is not text; expected {source.format.upper()}: give --format, or another file")
    if source.format == TSV:
        header = [unquoted(cell) for cell in first.rstrip(ENDS).split("\t")]
        return header, _tsv_records(lines)
    records = _csv_records(_Feed(lines, (number, first, None)), separator)
    number, names, reason = next(records)
    if reason is not None and "\r" in first.rstrip(ENDS):
        raise DataError(
            f"{source.name}, line {number} has line ends of \\r alone; expected \\n or \\r\\n: convert them with "
            "tr '\\r' '\\n'"
        )
    if reason is not None:
        raise DataError(f"{source.name}, line {number}: {reason}; expected the names of the columns: correct the file")
    return list(names), records


def _first_line(lines: Iterator[Line]) -> Line:
    """Returns the first line that is not blank; an empty one at the end of the file."""
    return next((line for line in lines if line[1].strip() or line[2]), (1, "", None))


def _separator(header: str) -> str:
    """Returns the separator that is in a header most often, outside of quotes; the comma where none is."""
    names = QUOTED.sub("", header)
    return max(SEPARATORS, key=names.count)


def _tsv_records(lines: Iterator[Line]) -> Iterator[Record]:
    for number, text, reason in lines:
        if line := text.rstrip(ENDS):
            cells = line.split("\t")
            yield number, [unquoted(cell) for cell in cells] if '"' in line else cells, reason


class _Feed:
    """The lines for `csv.reader`, which remembers those of the current record so that they can be read again.

    A record ends early where it has more than LONGEST_RECORD characters. It ends with its first line where lines were
    read again so often that the time would no longer be in proportion to the file.
    """

    def __init__(self, lines: Iterator[Line], first: Line) -> None:
        self._lines = lines
        self._again = deque([first])
        self._spare = LONGEST_RECORD
        self._characters = 0
        self.record: list[Line] = []

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if self.record and (self._characters > LONGEST_RECORD or (self._again and self._spare < 0)):
            raise StopIteration
        line = self._again.popleft() if self._again else next(self._lines, None)
        if line is None:
            raise StopIteration
        self.record.append(line)
        self._characters += len(line[1])
        return line[1]

    def begin(self) -> None:
        """Begins the next record."""
        self.record.clear()
        self._characters = 0

    def read_again(self) -> None:
        """Puts the lines of the current record back, except its first."""
        first, *others = self.record
        self._again.extendleft(reversed(others))
        self._spare += len(first[1]) - sum(len(line) for _, line, _ in others)


def _csv_records(feed: _Feed, separator: str) -> Iterator[Record]:
    reader = csv.reader(feed, delimiter=separator, strict=True)
    while True:
        feed.begin()
        reason = None
        cells: Sequence[str] = []
        try:
            cells = _next_cells(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = _fault(str(error), feed)
            feed.read_again()
        if reason is None and cells == []:  # a blank line
            continue
        yield feed.record[0][0], cells, reason or next((bad for _, _, bad in feed.record if bad), None)


def _next_cells(reader: Iterator[list[str]]) -> list[str]:
    """Returns the cells of the next record. The limit of a cell is the process's, so it is set for this call alone."""
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, LONGEST_CELL))
    try:
        return next(reader)
    finally:
        csv.field_size_limit(before)


def _fault(error: str, feed: _Feed) -> str:
    """Returns why a record is bad, from the message of Python's `csv`."""
    if len(feed.record) == 1 and len(feed.record[0][1]) > LONGEST_CELL:
        return f"a value has more than {LONGEST_CELL:,} characters; shorten it"
    if len(feed.record) > 1 or "end of data" in error:
        return "a quote is opened and not closed"
    if "expected after" in error:
        return 'text is behind the quote that closes a value; write quotes in a value as ""'
    return f"not CSV ({error})"
