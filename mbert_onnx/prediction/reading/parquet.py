"""Rows of Parquet, read row group by row group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mbert_onnx.errors import DataError
from mbert_onnx.prediction.reading.blocks import MOST_KEPT, MOST_ROWS, MOST_TEXT, Block
from mbert_onnx.prediction.reading.layout import Layout
from mbert_onnx.prediction.reading.sources import BUFFER, Source
from mbert_onnx.prediction.storage import reading

# Rows that are decoded at once.
BATCH_ROWS = 512
# Types whose values are read as those of another.
_VIEWS = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
NULL, NOT_UTF8 = "{} is null", "{} is not valid UTF-8"


def parquet_schema(source: Source) -> pa.Schema:
    """Returns the columns of a file and their types. Raises DataError for a file that is not Parquet."""
    with _open(source) as file:
        schema = file.schema_arrow.remove_metadata()
    # pyarrow can neither filter nor take values of views, which the files of some other libraries have.
    return pa.schema([field.with_type(_VIEWS.get(field.type, field.type)) for field in schema])


def parquet_blocks(source: Source, layout: Layout, skip: int) -> Iterator[Block]:
    """Yields the rows of a file behind its first `skip` rows, in blocks."""
    assert layout.schema is not None
    names = layout.schema.names
    with _open(source) as file:
        groups = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
        first, total = 0, sum(groups)
        row = 0
        while first < len(groups) and row + groups[first] <= skip:
            row += groups[first]
            first += 1
        batches = file.iter_batches(BATCH_ROWS, row_groups=range(first, len(groups)), columns=names, use_threads=False)
        pending: list[pa.Table] = []
        count = skip

        def block() -> Block:
            table = pa.concat_tables(pending)
            done = count / total if total else 1.0
            return _checked(table, layout, count - table.num_rows, count, round(source.size * done))

        rows = text = kept = 0
        for batch in batches:
            table = pa.Table.from_batches([batch]).select(names)
            for place in [place for place, kind in enumerate(table.schema.types) if kind in _VIEWS]:
                field = layout.schema.field(place)
                table = table.set_column(place, field, table.column(place).cast(field.type))
            if row < skip:
                row += len(old := table.slice(0, skip - row))
                table = table.slice(len(old))
            for part in _parts(table, layout):
                pending.append(part)
                count += part.num_rows
                rows += part.num_rows
                text += _bytes(part.select(layout.arguments))
                kept += part.nbytes
                if rows >= MOST_ROWS or text >= MOST_TEXT or kept >= MOST_KEPT:
                    yield block()
                    pending, rows, text, kept = [], 0, 0, 0
        if rows:
            yield block()


def _parts(table: pa.Table, layout: Layout) -> Iterator[pa.Table]:
    """Yields parts of a table that are not larger than a block, unless one row is."""
    size = max(_bytes(table.select(layout.arguments)) / MOST_TEXT, table.nbytes / MOST_KEPT)
    count = max(1, min(table.num_rows, round(table.num_rows / max(size, 1))))
    for start in range(0, table.num_rows, count):
        yield table.slice(start, count)


def _bytes(table: pa.Table) -> int:
    return int(table.nbytes)


def _checked(table: pa.Table, layout: Layout, before: int, records: int, bytes_read: int) -> Block:
    """Returns a block without the rows that cannot be processed; `before` is how many rows of the file are before."""
    reasons: dict[int, str] = {}
    columns = {name: table.column(name) for name in layout.arguments}
    try:
        table.validate(full=True)
        texts = {name: column.cast(pa.string()).to_pylist() for name, column in columns.items()}
    except (pa.ArrowInvalid, UnicodeDecodeError):
        for index in range(table.num_rows):
            wrong = _invalid_column(table.slice(index, 1))
            if wrong is not None:
                reasons[index] = NOT_UTF8.format(wrong)
        texts = {
            name: [None if index in reasons else column[index].as_py() for index in range(table.num_rows)]
            for name, column in columns.items()
        }
    for name, values in texts.items():
        for index, value in enumerate(values):
            if value is None:
                reasons.setdefault(index, NULL.format(name))
    lines = [before + index + 1 for index in range(table.num_rows) if index not in reasons]
    arguments: tuple[list[Any], ...] = tuple(texts[name] for name in layout.arguments)
    if reasons:
        table = table.filter(pa.array([index not in reasons for index in range(table.num_rows)]))
        arguments = tuple([value for index, value in enumerate(one) if index not in reasons] for one in arguments)
    bad = [(before + index + 1, reason) for index, reason in sorted(reasons.items())]
    return Block(arguments, table, lines, bad, records, bytes_read)


def _invalid_column(row: pa.Table) -> str | None:
    """Returns the first column of one row whose value is not valid."""
    for name in row.column_names:
        try:
            # A slice shares its buffers with the other rows, and the whole of them is validated.
            pa.concat_arrays([chunk.take([0]) for chunk in row.column(name).chunks if len(chunk)]).validate(full=True)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            return str(name)
    return None


@contextmanager
def _open(source: Source) -> Iterator[pq.ParquetFile]:
    location = source.location()
    with reading(source.name), location.filesystem.open_input_file(location.path) as stream:
        try:
            file = pq.ParquetFile(stream, buffer_size=BUFFER, pre_buffer=False)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{source.name} is not Parquet ({str(error).splitlines()[0]}); give --format, or another file"
            ) from error
        with file:
            yield file
