"""Retrieval data: questions, the paragraphs that are searched, and the paragraph that each question was asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mbert_onnx.errors import DataError, UsageError
from mbert_onnx.training.data.corpus.lines import kind_of
from mbert_onnx.training.data.custom import Columns, read_custom
from mbert_onnx.training.data.source import HUB, squad_questions

# SQuAD's names, which a file of another origin may replace by its own.
COLUMNS = Columns(text="question", pair="context", label=None)


@dataclass(frozen=True)
class RetrievalSet:
    """Questions and paragraphs.

    Args:
        split: Name of the part of the data.
        questions: Questions in the order of the data.
        paragraphs: All paragraphs, each once, in the order of the data.
        relevant: The number of the paragraph of each question, `[questions]`.
        notes: Notes for the user, one line each.
    """

    split: str
    questions: list[str]
    paragraphs: list[str]
    relevant: np.ndarray
    notes: tuple[str, ...] = ()


def read_retrieval(source: str | Path, split: str, columns: Columns | None = None) -> RetrievalSet:
    """Reads SQuAD's `.json`, a table with a question and its paragraph a row, or SQuAD's split from the hub.

    Args:
        source: The file, or `hub`.
        split: Split on the hub.
        columns: Columns of a table; default: `question` and `context`. `every` selects held-out rows.

    In SQuAD 2.0's `.json`, questions without an answer in their paragraph are left out; the paragraphs stay. Raises
    DataError for a malformed file, and for fewer than two paragraphs.
    """
    if str(source) == HUB or kind_of(Path(source)) == ".json":
        found = squad_questions("squad", source, split)
        paragraphs = [one.context for one in found]
        kept = [one for one in found if one.answers]
        dropped = len(found) - len(kept)
        notes = (f"{dropped:,} questions without an answer in their paragraph are left out",) if dropped else ()
        name = split if str(source) == HUB else "all questions"
        return _set(source, name, [(one.question, one.context) for one in kept], paragraphs, notes)
    columns = replace(columns or COLUMNS, label=None)
    if columns.pair is None:
        raise UsageError("retrieval needs a column of paragraphs; name it with --pair")
    part, name = ("all", "all rows") if columns.every is None else ("held_out", "held out")
    examples = read_custom(Path(source), columns, name, part=part).examples
    pairs = [(one.text, one.pair or "") for one in examples]
    return _set(source, name, pairs, [paragraph for _, paragraph in pairs], ())


def _set(
    source: str | Path, split: str, pairs: Sequence[tuple[str, str]], paragraphs: Sequence[str], notes: tuple[str, ...]
) -> RetrievalSet:
    numbers = {paragraph: number for number, paragraph in enumerate(dict.fromkeys(paragraphs))}
    if not pairs:
        raise DataError(f"{source} has no question with an answer; expected some. Give another file.")
    if len(numbers) < 2:
        raise DataError(f"{source} has one paragraph; expected several to search in. Give a file with more.")
    relevant = np.array([numbers[paragraph] for _, paragraph in pairs])
    return RetrievalSet(split, [question for question, _ in pairs], list(numbers), relevant, notes)
