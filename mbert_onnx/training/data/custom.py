"""Custom data: reader of a labelled `.tsv`, `.csv` or `.jsonl` file with named columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mbert_onnx.errors import DataError, UsageError
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.training.data.example import Example, Split
from mbert_onnx.training.data.table import is_held_out, read_table


@dataclass(frozen=True)
class Columns:
    """Columns of a custom file.

    Args:
        text: Column of the first text.
        pair: Column of the second text, if there is one.
        label: Column of the label; None for a file without labels.
        id: Column of the row id; None numbers the rows from 0.
        labels: Names of the labels, by number; None for the labels in the file, sorted.
        above: Threshold: the label is `positive` if the number in `label` is above it, else `negative`.
        regression: Whether the label is a number to be predicted.
        every: Rows whose id is a multiple of this number are held out.
    """

    text: str = "text"
    pair: str | None = None
    label: str | None = "label"
    id: str | None = None
    labels: tuple[str, ...] | None = None
    above: float | None = None
    regression: bool = False
    every: int | None = None


# Tasks of custom files.
CUSTOM_TASKS = ("classification", "regression")

SIGNS = ("negative", "positive")


def read_custom(path: Path, columns: Columns, split: str, *, part: str = "all") -> Split:
    """Reads the rows of a file.

    Args:
        path: The file.
        columns: Its columns.
        split: Name of the split.
        part: `all` rows, the `held_out` rows, or the `rest`; see `columns.every`.

    Raises UsageError for fewer than two distinct label names; DataError for an empty text, an unknown or non-numeric
    label, or a part without rows.
    """
    _check(columns)
    wanted = [name for name in (columns.text, columns.pair, columns.label, columns.id) if name is not None]
    rows = []
    for count, (number, row) in enumerate(read_table(path, wanted)):
        where = f"{path}, line {number}"
        name = str(row[columns.id]) if columns.id is not None else str(count)
        if part != "all":
            assert columns.every is not None
            if is_held_out(name, columns.every, f"{where}, {columns.id or 'its number'}") != (part == "held_out"):
                continue
        text = _text(row[columns.text], where, columns.text)
        pair = None if columns.pair is None else _text(row[columns.pair], where, columns.pair)
        rows.append((where, Example(name, text, pair), row))
    if not rows:
        raise DataError(f"{path} has no rows{'' if part == 'all' else ' in that part'}; expected some texts.")
    labels = SIGNS if columns.above is not None else columns.labels
    if labels is None and columns.label is not None and not columns.regression:
        labels = tuple(sorted({_text(row[columns.label], where, columns.label) for where, _, row in rows}))
        if len(labels) < 2:
            raise DataError(f"{path} has only the label {labels[0]} in {columns.label}; expected two or more labels.")
    examples = [
        example if columns.label is None else replace(example, label=_label(row[columns.label], columns, labels, where))
        for where, example, row in rows
    ]
    return Split(split, examples, labels if columns.label is not None else columns.labels)


def _check(columns: Columns) -> None:
    """Raises UsageError for fewer than two distinct label names, or a threshold that is not finite."""
    if columns.labels is not None and len({*columns.labels}) < max(len(columns.labels), 2):
        raise UsageError(f"the labels are {name_list(columns.labels)}; expected two or more different names")
    if columns.above is not None and not math.isfinite(columns.above):
        raise UsageError(f"labels are positive above {columns.above}; expected a finite number")


def _text(value: Any, where: str, column: str) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise DataError(f"{where} has a {type(value).__name__} in {column}; expected a text. Correct it.")
    text = str(value).strip()
    if not text:
        raise DataError(f"{where} has an empty {column}. Correct or remove the line.")
    return text


def _label(value: Any, columns: Columns, labels: Sequence[str] | None, where: str) -> float:
    if columns.above is not None or columns.regression:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise DataError(f"{where} has {str(value)[:40]!r} in {columns.label}; expected a number. Correct it.")
        return number if columns.above is None else float(number > columns.above)
    assert labels is not None
    assert columns.label is not None
    text = _text(value, where, columns.label)
    if text not in labels:
        raise DataError(f"{where} has the label {text!r}; expected one of {name_list(labels)}. Correct it.")
    return float(labels.index(text))
