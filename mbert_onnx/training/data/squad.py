"""SQuAD 1.1 and 2.0: the benchmark's own JSON, the hub's rows, or a question a line in JSONL.

Rajpurkar et al. 2016 (arXiv 1606.05250) and 2018 (arXiv 1806.03822).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mbert_onnx.errors import DataError
from mbert_onnx.training.data.corpus.lines import kind_of, read_lines
from mbert_onnx.training.data.table import check_characters, read_table

# By task: the version of the benchmark.
VERSIONS = {"squad": 1, "squad_v2": 2}
HUB = {1: "rajpurkar/squad", 2: "rajpurkar/squad_v2"}


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what answers it.

    Args:
        id: The question's own name.
        question: The question.
        context: The text in which the answer is.
        answers: What annotators answered; none where the text does not answer it (SQuAD 2.0).
        starts: Where in the context each answer begins, in characters; -1 where the file does not tell.
    """

    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    starts: tuple[int, ...]


def read_squad(path: Path) -> list[Question]:
    """All questions of a file: SQuAD's `.json`, or `.jsonl` with `id`, `question`, `context` and `answers`.

    `answers` of a line are texts, or the hub's `{"text": [...], "answer_start": [...]}`.

    Raises DataError for a file that is not as that, or an answer that is not where it says. Where a line says of none
    where it begins, an answer need not be in the context: it is compared with, and in training nothing answers.
    """
    kind = kind_of(path)
    if kind == ".jsonl":
        rows = read_table(path, ("id", "question", "context", "answers"))
        found = [_of_row(row, f"{path}, line {number}") for number, row in rows]
    elif kind == ".json":
        found = list(_of_json(path))
    else:
        raise DataError(f"{path} is a {kind or 'file without extension'}; expected SQuAD's .json, or .jsonl.")
    if not found:
        raise DataError(f"{path} has no question; expected some.")
    seen = set[str]()
    for question in found:
        if question.id in seen:
            raise DataError(f"{path} has two questions with the id {question.id}; expected one of each. Correct it.")
        seen.add(question.id)
    return found


def squad_from_hub(version: int, split: str, load: Callable[..., Any]) -> list[Question]:
    """A split of SQuAD 1.1 or 2.0 (`version` 1 or 2) from the hub; `load` is `datasets.load_dataset`."""
    return [_of_row(row, f"{HUB[version]}, {split}, {row['id']}") for row in load(HUB[version], split=split)]


def _of_json(path: Path) -> Iterator[Question]:
    try:
        source = "\n".join(line for _, line in read_lines(path))
        content = json.loads(source)
        check_characters(content, source, str(path))
        articles = content["data"]
        parts = [(part["context"], qa) for article in articles for part in article["paragraphs"] for qa in part["qas"]]
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is no JSON ({error}). Copy it again; with an object a line, name it .jsonl."
        ) from error
    except (TypeError, KeyError) as error:
        raise DataError(
            f"{path} is not as SQuAD: expected data, paragraphs with a context, and qas ({error})."
        ) from error
    for context, qa in parts:
        where = f"{path}, question {qa.get('id') if isinstance(qa, dict) else qa}"
        try:
            answers = [] if qa.get("is_impossible", False) else qa["answers"]
            row = {
                "id": qa["id"],
                "question": qa["question"],
                "context": context,
                "answers": {
                    "text": [answer["text"] for answer in answers],
                    "answer_start": [answer["answer_start"] for answer in answers],
                },
            }
        except (AttributeError, TypeError, KeyError) as error:
            raise DataError(
                f"{where} is not as in SQuAD: expected an object with id, question and answers, a list of objects with "
                f"text and answer_start ({error}). Correct it."
            ) from error
        yield _of_row(row, where)


def _all(kind: type[T], values: Any) -> Sequence[T] | None:
    """A list of that kind of values; None for anything else."""
    return values if isinstance(values, list) and all(type(value) is kind for value in values) else None


def _of_row(row: dict[str, Any], where: str) -> Question:
    answers = row["answers"] if isinstance(row["answers"], dict) else {"text": row["answers"]}
    texts = _all(str, answers.get("text"))
    told = answers.get("answer_start") or None
    starts = _all(int, told or [-1] * len(texts or ()))
    named = _all(str, [row["id"], row["question"], row["context"]])
    if texts is None or starts is None or named is None or len(starts) != len(texts):
        raise DataError(
            f"{where} is not as in SQuAD: expected texts for id, question, context and each of a list of answers, and "
            "for each of these a whole number for its start, or none for any. Correct it."
        )
    if not row["question"].strip() or not row["context"].strip():
        raise DataError(f"{where} has an empty question or context. Correct or remove it.")
    for text, start in zip(texts, starts, strict=True):
        if not text.strip():
            raise DataError(f"{where} has an empty answer. Correct or remove it.")
        if told and (start < 0 or row["context"][start : start + len(text)] != text):
            raise DataError(
                f"{where} has the answer {text!r} at character {start}, where its context has "
                f"{row['context'][start : start + len(text)]!r}. Copy the file again."
            )
    return Question(row["id"], row["question"], row["context"], tuple(texts), tuple(starts))
