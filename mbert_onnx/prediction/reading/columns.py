"""Columns of the sources: which there are, and which of them hold the model's arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mbert_onnx.errors import ColumnError, DataError, UsageError
from mbert_onnx.prediction.reading.delimited import TEXT, header_of
from mbert_onnx.prediction.reading.json_lines import first_objects, schema_of
from mbert_onnx.prediction.reading.layout import Layout
from mbert_onnx.prediction.reading.parquet import parquet_schema
from mbert_onnx.prediction.reading.sources import JSONL, PARQUET, Source
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.tasks import (
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    QUESTION_ANSWERING,
    TEXT_CLASSIFICATION,
    Task,
)

FEWEST_CHOICES = 2
PAIR, QUESTION, CONTEXT, CHOICE = "pair", "question", "context", "choice"
# The arguments of each task's method, by the options that name their columns; of the others, the text alone.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    QUESTION_ANSWERING.name: (QUESTION, CONTEXT),
    TEXT_CLASSIFICATION.name: (TEXT, PAIR),
    NEXT_SENTENCE_PREDICTION.name: (TEXT, PAIR),
    MULTIPLE_CHOICE.name: (TEXT, CHOICE),
}


@dataclass(frozen=True)
class ColumnNames:
    """The names of columns that a user gave, None where there is a default."""

    text: str | None = None
    pair: str | None = None
    question: str | None = None
    context: str | None = None
    choice: tuple[str, ...] = ()


def find_layout(
    sources: Sequence[Source], task: Task, given: ColumnNames, outputs: Sequence[str], *, keep_json: bool
) -> Layout:
    """Returns the columns of a job.

    Args:
        sources: The input files.
        task: The model's.
        given: The columns that the user named; `count_arguments` has checked them.
        outputs: The names of the output columns.
        keep_json: Whether objects of JSON Lines are kept as they are, because the output is JSON Lines, too.

    Raises ColumnError for columns that are not there; DataError for files whose columns differ, and for two columns
    with one name; UsageError for an output column that is there.
    """
    schema = _common_schema(sources)
    if schema is None:  # without a row, and so without names
        schema = pa.schema([(name, pa.string()) for name in _named_columns(task, given)])
    arguments = _argument_columns(task, given, schema.names, sources[0])
    for name in arguments:
        kind = schema.field(name).type
        # Values of other types in JSON Lines are bad rows.
        if sources[0].format != JSONL and not _is_text(kind):
            raise DataError(f"{sources[0].name}: the column {name} is {kind}, expected strings; name another column")
    taken = next((name for name in outputs if name in schema.names), None)
    if taken is not None:
        raise UsageError(
            f"{sources[0].name} has a column {taken}, as the output has; give --prefix, such as --prefix predicted_"
        )
    if sources[0].format == JSONL and keep_json:
        return Layout(arguments, None, frozenset(outputs))
    return Layout(arguments, schema, frozenset(outputs))


def _common_schema(sources: Sequence[Source]) -> pa.Schema | None:
    """Returns the columns that all sources have; of JSON Lines those of the first rows, and None without a row."""
    if sources[0].format == JSONL:
        objects: list[dict[str, Any]] | None = None
        for source in sources:
            found = first_objects(source)
            objects = objects if found is None else found
            if objects:
                break
        if objects is None:
            return None
        if not objects:
            raise DataError(
                f"{sources[0].name} has no JSON object in its first lines; expected one in each line: "
                "convert a list with jq -c '.[]'"
            )
        return schema_of(objects)
    first = _schema(sources[0])
    for source in sources[1:]:
        other = _schema(source)
        if set(other.names) != set(first.names):
            raise DataError(
                f"{source.name} has the columns {name_list(other.names)}, and {sources[0].name} "
                f"{name_list(first.names)}; expected the same: run the command for each"
            )
        for field in first:
            if other.field(field.name).type != field.type:
                raise DataError(
                    f"{source.name} has {other.field(field.name).type} in the column {field.name}, and "
                    f"{sources[0].name} {field.type}; expected the same: run the command for each"
                )
    return first


def _schema(source: Source) -> pa.Schema:
    if source.format == PARQUET:
        schema = parquet_schema(source)
    else:
        schema = pa.schema([pa.field(name, pa.string()) for name in header_of(source)])
    names = schema.names
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise DataError(f"{source.name} has two columns called {twice!r}; rename one of them")
    return schema


def count_arguments(task: Task, given: ColumnNames) -> int:
    """Returns how many columns hold a task's arguments. Raises UsageError for options that it does not take."""
    takes = ARGUMENTS.get(task.name, (TEXT,))
    for option in (TEXT, PAIR, QUESTION, CONTEXT, CHOICE):
        if getattr(given, option) and option not in takes:
            known = " and ".join(f"--{name}" for name in takes)
            raise UsageError(f"--{option} is not for {task.name}, which takes {known}; leave it out")
    if CHOICE not in takes:
        return len(takes) - (task is TEXT_CLASSIFICATION and not given.pair)
    if len(given.choice) < FEWEST_CHOICES:
        found = f"--choice names {len(given.choice)} of them" if given.choice else "--choice is missing"
        raise UsageError(f"{task.name} needs two or more columns of choices, and {found}; repeat it for each")
    return 1 + len(given.choice)


def _named_columns(task: Task, given: ColumnNames) -> list[str]:
    """Returns the columns that the model reads: those that the user named, and the default names of others."""
    columns: list[str] = []
    for option in ARGUMENTS.get(task.name, (TEXT,)):
        if option == CHOICE:
            columns += given.choice
        elif option != PAIR or task is not TEXT_CLASSIFICATION or given.pair:
            columns.append(getattr(given, option) or option)
    return columns


def _argument_columns(task: Task, given: ColumnNames, names: Sequence[str], source: Source) -> tuple[str, ...]:
    columns: list[str] = []
    for option in ARGUMENTS.get(task.name, (TEXT,)):
        if option == CHOICE:
            columns += given.choice
        elif name := getattr(given, option):
            columns.append(name)
        elif option != PAIR or task is not TEXT_CLASSIFICATION:
            columns.append(_default_column(option, names, source))
    for name in columns:
        if name not in names:
            if not names:
                raise _empty_objects(name, source)
            raise ColumnError(f"{source.name} has no column {name}, only {name_list(names)}; name one of those")
    return tuple(columns)


def _default_column(option: str, names: Sequence[str], source: Source) -> str:
    if option in names:
        return option
    if option == TEXT and len(names) == 1:
        return names[0]
    if not names:
        raise _empty_objects(option, source)
    raise ColumnError(f"{source.name} has no column {option}, only {name_list(names)}; name the column with --{option}")


def _empty_objects(name: str, source: Source) -> ColumnError:
    return ColumnError(f"{source.name} has no key {name}: its first objects are empty; give them this key")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
