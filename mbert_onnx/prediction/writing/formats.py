"""Writers of the output formats: each turns results into the bytes of one part.

Parts of CSV, TSV and JSON Lines, gzipped or not, become one file by putting them one behind the other, because the
first alone has a header and gzip allows several members. Parts of Parquet are copied row group by row group.
"""

from __future__ import annotations

import base64
import csv
import gzip
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mbert_onnx.errors import UsageError
from mbert_onnx.prediction.reading.sources import CSV, GZIP, JSONL, LINES, PARQUET, SUFFIXES, TSV, format_of
from mbert_onnx.prediction.types import JSON_TEXT, Result

DELIMITERS = {CSV: ",", TSV: "\t"}
# Limits of a row group: rows and bytes in memory.
GROUP_ROWS, GROUP_BYTES = 2**16, 2**25
# gzip's own default; Python's is slower, for little.
GZIP_LEVEL = 6
# Bytes that are copied at once.
COPIED = 2**20


@dataclass(frozen=True)
class OutputFormat:
    """The format of an output: one of CSV, TSV, JSONL and PARQUET, and whether it is gzipped."""

    name: str
    is_gzipped: bool

    @property
    def suffix(self) -> str:
        return f".{self.name}{GZIP if self.is_gzipped else ''}"


def output_format(output: str) -> OutputFormat:
    """Returns the format by the suffix of an output's name. Raises UsageError for another name."""
    found = format_of(output)
    if found is None or found == LINES:
        known = ", ".join(suffix for suffix, form in SUFFIXES.items() if form != LINES)
        raise UsageError(f"--output is {output}; expected one of the suffixes {known}, or {GZIP} after one of text")
    return OutputFormat(found, output.lower().endswith(GZIP))


class Writer(ABC):
    """A writer of one part."""

    @abstractmethod
    def write(self, result: Result) -> None:
        """Writes the rows of a result."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is left; the stream stays open."""


def open_writer(form: OutputFormat, stream: Any, schema: pa.Schema | None, *, is_first: bool) -> Writer:
    """Returns the writer of one part.

    Args:
        form: The format.
        stream: A binary stream.
        schema: All columns of the output; None for JSON Lines from JSON Lines.
        is_first: Whether the part is the output's first, which has a header.
    """
    if form.name == PARQUET:
        return _ParquetWriter(stream, schema)
    # Without a time, so that the same rows have the same bytes.
    packed = gzip.GzipFile("", "wb", GZIP_LEVEL, stream, mtime=0) if form.is_gzipped else stream
    if form.name == JSONL:
        return _JsonWriter(packed, form.is_gzipped)
    assert schema is not None
    return _DelimitedWriter(packed, form, schema.names if is_first else None)


class _TextWriter(Writer):
    """Base of the writers of text, into a stream that may be gzipped."""

    def __init__(self, stream: Any, is_gzipped: bool) -> None:
        self._stream = stream
        self._is_gzipped = is_gzipped

    def close(self) -> None:
        if self._is_gzipped:
            self._stream.close()


class _JsonWriter(_TextWriter):
    def write(self, result: Result) -> None:
        columns = result.columns.to_pylist()
        if result.rows.column_names == [JSON_TEXT]:
            kept = result.rows.column(0).to_pylist()
            # The object's own text, so that each number stays as it was written.
            lines = [f"{text[:-1].rstrip()}, {_json(more)[1:]}\n" for text, more in zip(kept, columns, strict=True)]
        else:
            rows = _without_times(result.rows).to_pylist()
            lines = [f"{_json(row | more)}\n" for row, more in zip(rows, columns, strict=True)]
        self._stream.write("".join(lines).encode())


class _Lines:
    """The lines of a `csv.writer`, with \\n at their ends.

    Python's writer quotes the characters of its line end alone (before 3.13), and a value with \\r needs quotes, too.
    """

    END = "\r\n"

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, line: str) -> None:
        self.written.append(f"{line[: -len(self.END)]}\n")


class _DelimitedWriter(_TextWriter):
    def __init__(self, stream: Any, form: OutputFormat, header: Sequence[str] | None) -> None:
        super().__init__(stream, form.is_gzipped)
        self._delimiter = DELIMITERS[form.name]
        if header is not None:
            self._write_rows([header])

    def write(self, result: Result) -> None:
        columns = [_cells(column) for column in (*result.rows.columns, *result.columns.columns)]
        self._write_rows(zip(*columns, strict=True))

    def _write_rows(self, rows: Any) -> None:
        lines = _Lines()
        csv.writer(lines, delimiter=self._delimiter, lineterminator=_Lines.END).writerows(rows)
        self._stream.write("".join(lines.written).encode())


class _ParquetWriter(Writer):
    def __init__(self, stream: Any, schema: pa.Schema | None) -> None:
        self._writer = pq.ParquetWriter(stream, schema)
        self._schema = schema
        self._pending: list[pa.Table] = []

    def write(self, result: Result) -> None:
        columns = [*result.rows.columns, *result.columns.columns]
        self.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def write_table(self, table: pa.Table) -> None:
        """Writes rows with all columns, in row groups that are neither tiny nor large."""
        self._pending.append(table)
        rows, size = sum(one.num_rows for one in self._pending), sum(one.nbytes for one in self._pending)
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._pending:
            table = pa.concat_tables(self._pending)
            self._pending = []
            self._writer.write_table(table, row_group_size=max(table.num_rows, 1))


def join(form: OutputFormat, parts: Sequence[Any], stream: Any, schema: pa.Schema | None) -> None:
    """Writes the content of parts, given as their locations, into one stream."""
    if form.name == PARQUET:
        writer = _ParquetWriter(stream, schema)
        for part in parts:
            with part.filesystem.open_input_file(part.path) as opened, pq.ParquetFile(opened) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group, use_threads=False).cast(schema))
        writer.close()
        return
    for part in parts:
        with part.filesystem.open_input_stream(part.path, compression=None) as opened:
            while data := opened.read(COPIED):
                stream.write(data)


def _cells(column: pa.ChunkedArray) -> list[Any]:
    """Returns the values of a column as cells of a table of text; nested values become JSON text."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return column.to_pylist()
    if pa.types.is_nested(kind) or pa.types.is_boolean(kind):
        return [None if value is None else _json(value) for value in column.to_pylist()]
    values = _without_time(column).to_pylist()
    return [value if value is None or isinstance(value, str) else _json_default(value) for value in values]


def _without_times(table: pa.Table) -> pa.Table:
    """Returns a table with dates and times as text."""
    return pa.table([_without_time(column) for column in table.columns], names=table.column_names)


def _without_time(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns dates and times as text; Python's have no nanoseconds."""
    kind = column.type
    is_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind)
    return column.cast(pa.string()) if is_time else column


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=_json_default, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(value), ensure_ascii=False, default=_json_default)


def _without_nan(value: Any) -> Any:
    """Returns a value with null for NaN and the infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):  # maps of Parquet are lists of pairs
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_default(value: Any) -> Any:
    """Converts values of Parquet that JSON does not have: bytes to base64, nested times to ISO 8601, others to text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)
