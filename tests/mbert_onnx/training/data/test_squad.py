"""SQuAD: JSON, JSONL and hub rows, their errors, and the position of an answer in a window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from text_encoders import word_encoder

from mbert_onnx.errors import DataError
from mbert_onnx.training.data.squad import Question, read_squad, squad_from_hub
from mbert_onnx.training.data.squad_windows import answer_in, windows_of

CONTEXT = "Ada Lovelace wrote it in 1843 in London ."


def qa(**changes: Any) -> dict[str, Any]:
    answers = [{"text": "1843", "answer_start": CONTEXT.index("1843")}]
    return {"id": "q", "question": "When ?", "answers": answers, **changes}


def squad_file(folder: Path, *questions: dict[str, Any]) -> Path:
    path = folder / "dev.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": CONTEXT, "qas": list(questions)}]}]}))
    return path


def test_squad_json(tmp_path: Path) -> None:
    [question] = read_squad(squad_file(tmp_path, qa()))
    assert question == Question("q", "When ?", CONTEXT, ("1843",), (25,))


def test_an_impossible_question_has_no_answers(tmp_path: Path) -> None:
    impossible = qa(is_impossible=True, answers=[], plausible_answers=[{"text": "it", "answer_start": 19}])
    [question] = read_squad(squad_file(tmp_path, impossible))
    assert question.answers == ()


@pytest.mark.parametrize("answers", [["1843", "in 1843"], {"text": ["1843", "in 1843"], "answer_start": [25, 22]}])
def test_jsonl_with_one_question_a_line(answers: Any, tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl"
    path.write_text(json.dumps({"id": "q", "question": "When ?", "context": CONTEXT, "answers": answers}))
    [question] = read_squad(path)
    assert question.answers == ("1843", "in 1843")


def test_rows_of_the_hub() -> None:
    rows = [{**qa(), "context": CONTEXT, "answers": {"text": ["1843"], "answer_start": [25]}}]
    [question] = squad_from_hub(2, "validation", lambda name, split: rows if name == "rajpurkar/squad_v2" else [])
    assert question.answers == ("1843",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        (f'{{"data": {"1" * 5000}}}', r"is not JSON \(a number has 5,000 digits, .*\). Correct it."),
        ('{"version": "1.1"}', "is not in SQuAD's layout"),
        ('{"data": []}', "has no questions"),
        (
            json.dumps({"data": [{"paragraphs": [{"context": CONTEXT, "qas": [{"id": "q"}]}]}]}),
            "question q is not in SQuAD's layout",
        ),
        (
            json.dumps(
                {
                    "data": [
                        {
                            "paragraphs": [
                                {"context": CONTEXT, "qas": [qa(answers=[{"text": "1843", "answer_start": 3}])]}
                            ]
                        }
                    ]
                }
            ),
            "has the answer '1843' at character 3",
        ),
        (
            json.dumps({"data": [{"paragraphs": [{"context": " ", "qas": [qa(answers=[])]}]}]}),
            "has an empty question or context",
        ),
    ],
)
def test_malformed_files_are_refused(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    path.write_text(content)
    with pytest.raises(DataError, match=says):
        read_squad(path)


@pytest.mark.parametrize(
    "answers",
    [
        None,
        3,
        "1843",
        [1843],
        {},
        {"text": None},
        {"text": "1843", "answer_start": [25]},
        {"text": ["1843"], "answer_start": 25},
        {"text": ["1843"], "answer_start": ["25"]},
        {"text": ["1843"], "answer_start": [None]},
        {"text": ["1843"], "answer_start": [25.0]},
        {"text": ["1843"], "answer_start": [True]},
        {"text": ["1843"], "answer_start": [25, 26]},
    ],
    ids=str,
)
def test_answers_of_other_types_are_refused(answers: Any, tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl"
    path.write_text(json.dumps({"id": "q", "question": "When ?", "context": CONTEXT, "answers": answers}))
    with pytest.raises(DataError, match="line 1 is not in SQuAD's layout: expected strings"):
        read_squad(path)


@pytest.mark.parametrize("start", [None, "25", 25.0])
def test_a_start_that_is_not_an_integer_is_refused(start: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="question q is not in SQuAD's layout: expected strings"):
        read_squad(squad_file(tmp_path, qa(answers=[{"text": "1843", "answer_start": start}])))


@pytest.mark.parametrize(
    ("questions", "says"),
    [
        ([qa(answers=[{"text": "", "answer_start": 3}])], "question q has an empty answer"),
        ([qa(answers=[{"text": "1843", "answer_start": -7}])], "has the answer '1843' at character -7"),
        ([qa(answers=[{"text": "1843", "answer_start": -1}])], "has the answer '1843' at character -1"),
        ([qa(), qa()], "has two questions with the id q"),
    ],
)
def test_invalid_questions_are_refused(questions: list[dict[str, Any]], says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says):
        read_squad(squad_file(tmp_path, *questions))


def test_the_position_of_an_answer_in_its_windows(tmp_path: Path) -> None:
    question = Question("q", "When ?", CONTEXT, ("in 1843",), (22,))
    encoder = word_encoder(tmp_path, f"{CONTEXT} When ?", max_length=11)
    tokens, windows = windows_of(encoder, question)
    assert len(windows) > 1
    found = [answer_in(window, tokens, question) for window in windows]
    positions = [place for place in found if place != (0, 0)]
    assert positions
    for window, (start, end) in zip(windows, found, strict=True):
        if (start, end) != (0, 0):
            words = [encoder.token_text(token) for token in window.ids[start : end + 1]]
            assert words == ["in", "1843"]


def test_a_long_question_is_truncated_to_64_tokens(tmp_path: Path) -> None:
    encoder = word_encoder(tmp_path, f"{CONTEXT} so", max_length=90)
    question = Question("q", " ".join(["so"] * 70), CONTEXT, (), ())
    _, windows = windows_of(encoder, question)
    assert windows[0].type_ids.index(1) == 64 + 2
