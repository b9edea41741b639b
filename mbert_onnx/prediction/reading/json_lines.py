"""Rows of JSON Lines: one object a line, kept as its text, or as the columns of a table for outputs that are tables.

The columns of a table and their types are those of the first rows. A later row that does not fit is bad.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from mbert_onnx.prediction.reading.blocks import MOST_KEPT, Block, Pending, decoded_lines
from mbert_onnx.prediction.reading.layout import Layout
from mbert_onnx.prediction.reading.sources import ByteStream, Source, open_bytes
from mbert_onnx.prediction.types import JSON_TEXT
from mbert_onnx.text.name_lists import name_list

# Rows of which the columns of a table are taken.
FIRST_ROWS = 2_048
# The escape of a character that is written as two, of which one may be missing.
SURROGATE = re.compile(r"\\u[dD]")
# A record: its line, its object, its text, and why it is bad, or None.
Record = tuple[int, dict[str, Any], str, str | None]


def first_objects(source: Source) -> list[dict[str, Any]] | None:
    """Returns the valid ones of the first objects of a file; None where it has only blank lines."""
    found, characters = [], 0
    is_empty = True
    with open_bytes(source) as file:
        for _, value, text, reason in islice(_records(file), FIRST_ROWS):
            is_empty = False
            if reason is None:
                found.append(value)
                characters += len(text)
            if characters > MOST_KEPT:
                break
    return None if is_empty else found


def schema_of(objects: Sequence[dict[str, Any]]) -> pa.Schema:
    """Returns the columns of objects, and their types. Values of several types become JSON text."""
    names = list(dict.fromkeys(name for value in objects for name in value))
    fields = []
    for name in names:
        try:
            found = pa.array([value.get(name) for value in objects]).type
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            found = pa.string()
        fields.append(pa.field(name, pa.string() if _has_null(found) else found))
    return pa.schema(fields)


def json_blocks(source: Source, layout: Layout, skip: int) -> Iterator[Block]:
    """Yields the rows of a file behind its first `skip` records, in blocks."""
    with open_bytes(source) as file:
        pending, count = Pending(), skip
        texts: tuple[list[str], ...] = tuple([] for _ in layout.arguments)

        def block() -> Block:
            if layout.schema is None:
                table = pa.table({JSON_TEXT: pa.array(pending.rows, pa.string())})
            else:
                arrays = [pa.array([row[i] for row in pending.rows], one) for i, one in enumerate(layout.schema.types)]
                table = pa.Table.from_arrays(arrays, schema=layout.schema)
            return Block(texts, table, pending.lines, pending.bad, count, file.bytes_read)

        for line, value, text, reason in islice(_records(file), skip, None):
            count += 1
            reason = reason or _fault(value, layout)
            row: Any = text
            if reason is None and layout.schema is not None:
                row, reason = _row(value, layout.schema)
            if reason is not None:
                pending.bad.append((line, reason))
            else:
                pending.rows.append(row)
                pending.lines.append(line)
                for column, name in zip(texts, layout.arguments, strict=True):
                    column.append(value[name])
                    pending.text += len(value[name])
                pending.kept += len(text)
            if pending.is_full:
                yield block()
                pending, texts = Pending(), tuple([] for _ in layout.arguments)
        if pending.lines or pending.bad:
            yield block()


def _records(file: ByteStream) -> Iterator[Record]:
    for number, line, reason in decoded_lines(file.stream):
        text = line.strip()
        if not text:
            continue
        value: Any = {}
        if reason is None:
            try:
                value = json.loads(text, object_pairs_hook=_object)
            except json.JSONDecodeError as error:
                reason = f"not JSON ({error.msg} at character {error.pos + 1})"
            except (ValueError, RecursionError) as error:
                reason = f"not JSON that can be read ({error})"
            if reason is None and SURROGATE.search(text) and not _is_unicode(value):
                reason = "not valid Unicode: half of a surrogate pair is missing"
            if not isinstance(value, dict):
                value, reason = {}, f"a JSON {_kind(value)}, expected an object"
        yield number, value, text, reason


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return value


def _fault(value: dict[str, Any], layout: Layout) -> str | None:
    """Returns why an object cannot be processed, or None."""
    for name in layout.arguments:
        text = value.get(name)
        if text is None:
            if name in value:
                return f"{name} is null"
            return f"no key {name}, only {name_list(value)}" if value else f"no key {name}: the object is empty"
        if not isinstance(text, str):
            return f"{name} is a JSON {_kind(text)}, expected a string"
    if not layout.reserved.isdisjoint(value):
        name = next(name for name in value if name in layout.reserved)
        return f"the key {name} is that of an output column; give --prefix for those"
    return None


def _row(value: dict[str, Any], schema: pa.Schema) -> tuple[list[Any], str | None]:
    """Returns the values of a row of a table, and why the object does not fit, or None."""
    row = []
    known = 0
    for field in schema:
        cell = value.get(field.name)
        known += field.name in value
        if field.type == pa.string():
            if cell is not None and not isinstance(cell, str):
                cell = json.dumps(cell, ensure_ascii=False)
        elif cell is not None and not _fits(cell, field.type):
            return [], f"{field.name} is {_brief(cell)}, which is no {field.type} as in the first rows; write .jsonl"
        row.append(cell)
    if known < len(value):
        new = name_list(name for name in value if name not in schema.names)
        return [], f"the keys {new} are in none of the first rows, so that the table has no such column; write .jsonl"
    return row, None


def _fits(cell: Any, kind: pa.DataType) -> bool:
    """Returns whether a column of a type holds a value without a loss; pyarrow drops fractions and unknown keys."""
    try:
        return _is_kept(cell, pa.scalar(cell, kind).as_py())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return False


def _is_kept(value: Any, stored: Any) -> bool:
    if isinstance(value, dict) and isinstance(stored, dict):
        return all(_is_kept(item, stored.get(key)) for key, item in value.items())
    if isinstance(value, list) and isinstance(stored, list):
        return len(value) == len(stored) and all(map(_is_kept, value, stored))
    if isinstance(value, float) and isinstance(stored, float) and math.isnan(value):
        return math.isnan(stored)
    return isinstance(value, bool) == isinstance(stored, bool) and bool(value == stored)


def _brief(value: Any) -> str:
    """Returns a number as it is, and the kind of another value."""
    return str(value) if isinstance(value, int | float) else f"a JSON {_kind(value)}"


def _has_null(kind: pa.DataType) -> bool:
    """Returns whether a type has no values in some place, such as that of a list or object that is always empty."""
    if pa.types.is_null(kind) or (pa.types.is_struct(kind) and kind.num_fields == 0):
        return True
    return any(_has_null(kind.field(index).type) for index in range(kind.num_fields))


def _kind(value: Any) -> str:
    """Returns JSON's name of a value's type."""
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object", type(None): "null"}
    return names.get(type(value), "value")
