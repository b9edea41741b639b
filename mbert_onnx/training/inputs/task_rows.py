"""The splits that a recipe of fine-tuning names, and the rows that are trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mbert_onnx.errors import DataError, MbertError, UsageError
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.training.data.corpus.lines import read_lines
from mbert_onnx.training.data.custom import OWN, Columns, read_own
from mbert_onnx.training.data.example import Example, Split
from mbert_onnx.training.data.glue import TASKS, glue_task
from mbert_onnx.training.data.row_store import Item, Rows, rows_at
from mbert_onnx.training.data.source import HUB, glue_split, squad_questions
from mbert_onnx.training.data.squad import VERSIONS, Question
from mbert_onnx.training.data.squad_windows import answer_in, windows_of
from mbert_onnx.training.distillation.predictions import IGNORED
from mbert_onnx.training.recipe import TaskTable


@contextmanager
def told_of(row: str) -> Iterator[None]:
    """Raises DataError, which says in which row, for a text of which no tokens can be made."""
    try:
        yield
    except MbertError as error:
        raise DataError(f"{row}: {error}") from error


def check_task(table: TaskTable) -> None:
    """Raises UsageError for a task that is none, or lacks its data."""
    if table.task not in (*TASKS, *VERSIONS, *OWN):
        raise UsageError(f"data.task is {table.task!r}; expected one of {', '.join((*TASKS, *VERSIONS, *OWN))}")
    if table.hub:
        if table.task in OWN:
            raise UsageError(f"data.hub is for GLUE and SQuAD; {table.task} has data.train")
        return
    needed = "folder" if table.task in TASKS else "train"
    if getattr(table, needed) is None:
        raise UsageError(f"data.{needed} is missing, which {table.task} needs; or set hub = true for GLUE and SQuAD")


def columns_of(table: TaskTable) -> Columns:
    """Where a file of one's own has what."""
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
    """The `train` split, or another of GLUE's."""
    if table.task in TASKS:
        return glue_split(glue_task(table.task), _source(table, table.folder), name)
    assert table.train is not None
    columns = columns_of(table)
    return read_own(table.train, columns, name, part="all" if columns.every is None else "rest")


def questions_of(table: TaskTable) -> list[Question]:
    """SQuAD's questions that are trained on."""
    return squad_questions(table.task, _source(table, table.train), "train")


def _source(table: TaskTable, path: Path | None) -> str | Path:
    if table.hub:
        return HUB
    assert path is not None  # check_task has seen to it
    return path


def unlabelled_of(table: TaskTable) -> list[Example]:
    """Texts without labels: a line each."""
    lines = (line.strip() for path in table.unlabelled for _, line in read_lines(path))
    return [Example(id=f"unlabelled {number}", text=line) for number, line in enumerate(lines) if line]


Told = tuple[Sequence[Example], np.ndarray | None]
"""Texts, and a teacher's logits for each, ``[texts, labels]``."""


def label_rows(folder: Path, told: Callable[[], Told], encoder: TextEncoder) -> Rows:
    """Rows with `label`, -100 where none is known, and the teacher's `opinion`; what was `told` is asked for once."""
    examples, opinions = ([], None) if folder.is_dir() else told()

    def make() -> Iterator[Item]:
        for number, example in enumerate(examples):
            with told_of(f"row {example.id} of the training set"):
                row, _ = encoder.truncated(example.text, example.pair)
            item: Item = {
                "input_ids": row.ids,
                "token_type_ids": row.type_ids,
                "length": len(row),
                "label": float(IGNORED) if example.label is None else float(example.label),
            }
            yield item if opinions is None else {**item, "opinion": opinions[number].tolist()}

    return rows_at(folder, make, "the training set")


def span_rows(folder: Path, questions: Sequence[Question], encoder: TextEncoder) -> Rows:
    """Windows with the positions of their answer's first and last token; 0, where [CLS] is, for those without one."""

    def make() -> Iterator[Item]:
        for question in questions:
            with told_of(f"question {question.id} of the training set"):
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

    return rows_at(folder, make, "the training set")
