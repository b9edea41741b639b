"""Training data of a task: its splits, and their tokenized rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mbert_onnx.errors import DataError, MbertError, UsageError
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.training.data.corpus.lines import read_lines
from mbert_onnx.training.data.custom import CUSTOM_TASKS, Columns, read_custom
from mbert_onnx.training.data.example import Example, Split
from mbert_onnx.training.data.glue import TASKS, glue_task
from mbert_onnx.training.data.row_store import Item, Rows, rows_at
from mbert_onnx.training.data.source import HUB, glue_split, squad_questions
from mbert_onnx.training.data.squad import VERSIONS, Question
from mbert_onnx.training.data.squad_windows import answer_in, windows_of
from mbert_onnx.training.distillation.objectives.predictions import IGNORED
from mbert_onnx.training.recipe import TaskTable


@contextmanager
def naming_row(row: str) -> Iterator[None]:
    """Turns errors about a text into a DataError that names its row."""
    try:
        yield
    except MbertError as error:
        raise DataError(f"{row}: {error}") from error


def check_task(table: TaskTable) -> None:
    """Raises UsageError for an unknown task, or one whose data is missing."""
    if table.task not in (*TASKS, *VERSIONS, *CUSTOM_TASKS):
        raise UsageError(
            f"data.task is {table.task!r}; expected one of {', '.join((*TASKS, *VERSIONS, *CUSTOM_TASKS))}"
        )
    if table.hub:
        if table.task in CUSTOM_TASKS:
            raise UsageError(f"data.hub is for GLUE and SQuAD; {table.task} has data.train")
        return
    needed = "folder" if table.task in TASKS else "train"
    if getattr(table, needed) is None:
        raise UsageError(f"data.{needed} is missing, which {table.task} needs; or set hub = true for GLUE and SQuAD")


def columns_of(table: TaskTable) -> Columns:
    """Returns the columns of a custom file."""
    return Columns(
        text=table.text,
        pair=table.pair,
        label=table.label,
        id=table.id,
        labels=None if table.labels is None else tuple(table.labels),
        above=table.above,
        regression=table.task == "regression",
        every=table.held_out_every,
    )


def split_of(table: TaskTable, name: str) -> Split:
    """Reads the `train` split, or another split of a GLUE task."""
    if table.task in TASKS:
        return glue_split(glue_task(table.task), _source(table, table.folder), name)
    assert table.train is not None
    columns = columns_of(table)
    return read_custom(table.train, columns, name, part="all" if columns.every is None else "rest")


def questions_of(table: TaskTable) -> list[Question]:
    """Reads SQuAD's training questions."""
    return squad_questions(table.task, _source(table, table.train), "train")


def _source(table: TaskTable, path: Path | None) -> str | Path:
    if table.hub:
        return HUB
    assert path is not None  # checked by check_task
    return path


def unlabelled_examples(table: TaskTable) -> list[Example]:
    """Reads texts without labels, one a line."""
    lines = (line.strip() for path in table.unlabelled for _, line in read_lines(path))
    return [Example(id=f"unlabelled {number}", text=line) for number, line in enumerate(lines) if line]


ExamplesWithLogits = tuple[Sequence[Example], np.ndarray | None]
"""Examples, and the teacher logits ``[texts, labels]`` or None."""


def label_rows(folder: Path, load_examples: Callable[[], ExamplesWithLogits], encoder: TextEncoder) -> Rows:
    """Returns rows with `label` (-100 if unknown) and `opinion`, the teacher logits; tokenized once per run."""
    examples, teacher_logits = ([], None) if folder.is_dir() else load_examples()

    def items() -> Iterator[Item]:
        for number, example in enumerate(examples):
            with naming_row(f"row {example.id} of the training set"):
                row, _ = encoder.truncated(example.text, example.pair)
            item: Item = {
                "input_ids": row.ids,
                "token_type_ids": row.type_ids,
                "length": len(row),
                "label": float(IGNORED) if example.label is None else float(example.label),
            }
            yield item if teacher_logits is None else {**item, "opinion": teacher_logits[number].tolist()}

    return rows_at(folder, items, "the training set")


def span_rows(folder: Path, questions: Sequence[Question], encoder: TextEncoder) -> Rows:
    """Returns windows with the positions of the answer's first and last token; 0, which is [CLS], without an answer."""

    def items() -> Iterator[Item]:
        for question in questions:
            with naming_row(f"question {question.id} of the training set"):
                tokens, windows = windows_of(encoder, question)
            for window in windows:
                start, end = answer_in(window, tokens, question)
                yield {
                    "input_ids": window.ids,
                    "token_type_ids": window.type_ids,
                    "length": len(window),
                    "start": start,
                    "end": end,
                }

    return rows_at(folder, items, "the training set")
