"""SQuAD 1.1 and 2.0: readers of the benchmark's JSON, of JSONL with one question a line, and of the hub's rows.

Rajpurkar et al. 2016 (arXiv 1606.05250) and 2018 (arXiv 1806.03822).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mbert_onnx.errors import DataError
from mbert_onnx.text.json_files import parse_json
from mbert_onnx.training.data.corpus.lines import kind_of, read_lines
from mbert_onnx.training.data.table import check_characters, read_table

# Version of the benchmark by task name.
VERSIONS = {"squad": 1, "squad_v2": 2}
HUB = {1: "rajpurkar/squad", 2: "rajpurkar/squad_v2"}


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its context and answers.

    Args:
        id: Question id.
        question: The question.
        context: The text that contains the answer.
        answers: Answers of the annotators; empty if the context does not answer the question (SQuAD 2.0).
        starts: Character offset of each answer in the context; -1 if unknown.
    """

    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    starts: tuple[int, ...]


def read_squad(path: Path) -> list[Question]:
    """Reads all questions of a file: SQuAD's `.json`, or `.jsonl` with `id`, `question`, `context` and `answers`.

    `answers` in a `.jsonl` are texts, or the hub's `{"text": [...], "answer_start": [...]}`. Answers without offsets
    need not occur in the context: evaluation compares with them, training treats the question as unanswered.

    Raises DataError for a malformed file, or an answer that is not at its offset.
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
        raise DataError(f"{path} has no questions; expected some.")
    seen = set[str]()
    for question in found:
        if question.id in seen:
            raise DataError(f"{path} has two questions with the id {question.id}; expected unique ids. Correct it.")
        seen.add(question.id)
    return found


def squad_from_hub(version: int, split: str, load: Callable[..., Any]) -> list[Question]:
    """Reads a split of SQuAD 1.1 or 2.0 (`version` 1 or 2) from the hub; `load` is `datasets.load_dataset`."""
    return [_of_row(row, f"{HUB[version]}, {split}, {row['id']}") for row in load(HUB[version], split=split)]


def _of_json(path: Path) -> Iterator[Question]:
    try:
        source = "\n".join(line for _, line in read_lines(path))
        content = parse_json(source)
        check_characters(content, source, str(path))
        articles = content["data"]
        parts = [(part["context"], qa) for article in articles for part in article["paragraphs"] for qa in part["qas"]]
    except ValueError as error:
        is_syntax = isinstance(error, json.JSONDecodeError)
        advice = "Copy it again; with one object a line, name it .jsonl." if is_syntax else "Correct it."
        raise DataError(f"{path} is not JSON ({error}). {advice}") from error
    except (TypeError, KeyError) as error:
        raise DataError(
            f"{path} is not in SQuAD's layout: expected data, paragraphs with a context, and qas ({error})."
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
                f"{where} is not in SQuAD's layout: expected an object with id, question and answers, a list of "
                f"objects with text and answer_start ({error}). Correct it."
            ) from error
        yield _of_row(row, where)


def _list_of(kind: type[T], values: Any) -> Sequence[T] | None:
    """Returns a list whose values all have that type; None for anything else."""
    return values if isinstance(values, list) and all(type(value) is kind for value in values) else None


def _of_row(row: dict[str, Any], where: str) -> Question:
    answers = row["answers"] if isinstance(row["answers"], dict) else {"text": row["answers"]}
    texts = _list_of(str, answers.get("text"))
    given_starts = answers.get("answer_start") or None
    starts = _list_of(int, given_starts or [-1] * len(texts or ()))
    named = _list_of(str, [row["id"], row["question"], row["context"]])
    if texts is None or starts is None or named is None or len(starts) != len(texts):
        raise DataError(
            f"{where} is not in SQuAD's layout: expected strings for id, question, context and each answer in a list, "
            "and an integer start for every answer, or for none. Correct it."
        )
    if not row["question"].strip() or not row["context"].strip():
        raise DataError(f"{where} has an empty question or context. Correct or remove it.")
    for text, start in zip(texts, starts, strict=True):
        if not text.strip():
            raise DataError(f"{where} has an empty answer. Correct or remove it.")
        if given_starts and (start < 0 or row["context"][start : start + len(text)] != text):
            raise DataError(
                f"{where} has the answer {text!r} at character {start}, but its context has there "
                f"{row['context'][start : start + len(text)]!r}. Copy the file again."
            )
    return Question(row["id"], row["question"], row["context"], tuple(texts), tuple(starts))
