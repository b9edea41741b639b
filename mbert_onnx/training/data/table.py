"""Readers of `.tsv`, `.csv` and `.jsonl` tables: rows as dictionaries from column to value."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from mbert_onnx.errors import ColumnError, DataError
from mbert_onnx.text.json_files import parse_json
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.text_files import SEPARATOR_LINE, SEPARATORS
from mbert_onnx.training.data.corpus.lines import kind_of, read_lines

Rows = Iterator[tuple[int, dict[str, Any]]]


def read_table(
    path: Path,
    columns: Sequence[str],
    *,
    header: Sequence[str] | None = None,
    on_ragged: Callable[[int], None] | None = None,
) -> Rows:
    """Yields rows with their line numbers; blank lines are skipped.

    Args:
        path: `.tsv` (quotes are part of the text), `.csv`, or `.jsonl` (one object a line).
        columns: Columns that each row must have.
        header: Names of the columns, for a file without a header line.
        on_ragged: Called with the number of each line with too few or too many columns, which is then skipped;
            without it such a line is an error.

    Raises DataError for another file type, a missing column, or a malformed row.
    """
    kind = kind_of(path)
    if kind == ".jsonl":
        yield from _objects(path, columns)
        return
    if kind not in (".tsv", ".csv", ".txt"):
        raise DataError(
            f"{path} is a {kind or 'file without extension'}; expected .tsv, .csv or .jsonl, optionally with .gz."
        )
    rows = _comma_separated(path, columns if header is None else ()) if kind == ".csv" else _tab_separated(path)
    names = None if header is None else list(header)
    for number, cells in rows:
        if names is None:
            names = [cell.strip() for cell in cells]
            _check_columns(path, names, columns)
            continue
        if len(cells) != len(names):
            if on_ragged is not None:
                on_ragged(number)
                continue
            raise DataError(
                f"{path}, line {number} has {len(cells)} columns; expected {len(names)}: {name_list(names)}. "
                "Correct it."
            )
        yield number, dict(zip(names, cells, strict=True))
    if names is None:
        raise DataError(f"{path} is empty; expected a header with {name_list(columns)}.")


def _tab_separated(path: Path) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split("\t")) for number, line in read_lines(path) if line.strip())


def _comma_separated(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    lines = (f"{line}\n" for _, line in read_lines(path))
    first = next(lines, "")
    named = SEPARATOR_LINE.match(first)
    separator = named[2] if named else _separator(first, columns)
    reader = csv.reader(chain(["\n" if named else first], lines), delimiter=separator)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num} is not CSV ({error}). Correct it.") from error


def _separator(header: str, columns: Sequence[str]) -> str:
    """Returns the first separator with which a header has the columns; a comma if there is none."""
    for separator in SEPARATORS:
        try:
            cells = next(csv.reader([header], delimiter=separator), [])
        except csv.Error:
            continue  # reported where the rows are read
        if {cell.strip() for cell in cells}.issuperset(columns):
            return separator
    return SEPARATORS[0]


def _objects(path: Path, columns: Sequence[str]) -> Rows:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            advice = "Give one object a line." if isinstance(error, json.JSONDecodeError) else "Correct it."
            raise DataError(f"{path}, line {number} is not JSON ({error}). {advice}") from error
        check_characters(value, line, f"{path}, line {number}")
        if not isinstance(value, dict):
            raise DataError(f"{path}, line {number} is a JSON {type(value).__name__}; expected an object.")
        _check_columns(f"{path}, line {number}", list(value), columns)
        yield number, value


def check_characters(value: Any, source: str, where: str) -> None:
    """Raises DataError if a text in a JSON value has an unpaired surrogate, which cannot be encoded.

    Args:
        value: Parsed value.
        source: JSON text; only one with `\\u` escapes has to be checked.
        where: Place that the error names.
    """
    try:
        if "\\u" in source:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise DataError(f"{where} has {half}, half of a surrogate pair without the other half. Correct it.") from error


def _check_columns(where: object, names: Sequence[str], columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in names]
    if missing:
        raise ColumnError(
            f"{where} has the columns {name_list(names)}; expected {name_list(missing)} among them. Name the "
            "right ones."
        )


def is_held_out(name: object, every: int, where: str) -> bool:
    """True if a row's id is a multiple of `every`. Raises DataError for an id that is not an integer."""
    try:
        return int(str(name)) % every == 0
    except ValueError:
        raise DataError(
            f"{where} is {name!r}; expected an integer, since rows whose id is a multiple of {every} are held out."
        ) from None
