"""Values that pass through a prediction: chunks of input rows, and their results.

    reading  →  Chunk  →  engine  →  Result  →  writing

All of them can be pickled, because engines send them between processes and machines.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

# The only column of the rows of a JSON Lines file that are kept as they are: the text of each object.
JSON_TEXT = "json"


@dataclass(frozen=True, order=True)
class Position:
    """A place in the input: the index of a source, and how many of its records are before the place.

    Records are the rows of a table and the lines of other files, also those that cannot be processed, but neither the
    header nor blank lines of a table.
    """

    source: int = 0
    records: int = 0


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be processed: its file, its line (of Parquet: its row), both from 1, and the reason."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one source.

    Args:
        number: Its place in the job, from 0.
        file: The name of the source.
        end: The position behind its last row.
        arguments: The model's arguments: for each of them a list with one text for each row.
        rows: The input columns that are kept, one row for each text; or one column, JSON_TEXT.
        lines: The line of each row.
        bad: Rows that could not be read.
        bytes_read: How many bytes of the source were read so far, for the progress.
    """

    number: int
    file: str
    end: Position
    arguments: tuple[list[str], ...]
    rows: pa.Table
    lines: list[int]
    bad: list[BadRow]
    bytes_read: int


@dataclass(frozen=True)
class Answers:
    """Answers of the model to a chunk's texts.

    Args:
        columns: The output columns, one row for each text that has a result.
        errors: For each other text its index in the chunk, and the reason.
        tokens: How many tokens the model read.
        truncated: How many texts were longer than the model reads.
    """

    columns: pa.Table
    errors: list[tuple[int, str]]
    tokens: int
    truncated: int


@dataclass(frozen=True)
class Result:
    """A chunk's rows with their output columns; both tables have the same number of rows.

    The fields are those of Chunk and Answers; `bad` has the rows that could not be read and those without a result.
    """

    number: int
    end: Position
    rows: pa.Table
    columns: pa.Table
    bad: list[BadRow]
    tokens: int
    truncated: int
    bytes_read: int


def result_of(chunk: Chunk, answers: Answers) -> Result:
    """Joins a chunk and its answers: rows without a result are taken out and listed as bad."""
    rows, bad = chunk.rows, chunk.bad
    if answers.errors:
        wrong = {index for index, _ in answers.errors}
        rows = rows.filter(pa.array([index not in wrong for index in range(rows.num_rows)]))
        bad = sorted(
            [*bad, *(BadRow(chunk.file, chunk.lines[index], reason) for index, reason in answers.errors)],
            key=lambda row: row.line,
        )
    return Result(
        chunk.number, chunk.end, rows, answers.columns, bad, answers.tokens, answers.truncated, chunk.bytes_read
    )
