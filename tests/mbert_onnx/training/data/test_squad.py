"""SQuAD's questions, in its own JSON and a line each, and where in a window an answer is."""

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


def test_squads_own_file(tmp_path: Path) -> None:
    [question] = read_squad(squad_file(tmp_path, qa()))
    assert question == Question("q", "When ?", CONTEXT, ("1843",), (25,))


def test_what_cannot_be_answered_has_no_answers(tmp_path: Path) -> None:
    impossible = qa(is_impossible=True, answers=[], plausible_answers=[{"text": "it", "answer_start": 19}])
    [question] = read_squad(squad_file(tmp_path, impossible))
    assert question.answers == ()


@pytest.mark.parametrize("answers", [["1843", "in 1843"], {"text": ["1843", "in 1843"], "answer_start": [25, 22]}])
def test_a_question_a_line(answers: Any, tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl"
    path.write_text(json.dumps({"id": "q", "question": "When ?", "context": CONTEXT, "answers": answers}))
    [question] = read_squad(path)
    assert question.answers == ("1843", "in 1843")


def test_the_hubs_rows() -> None:
    rows = [{**qa(), "context": CONTEXT, "answers": {"text": ["1843"], "answer_start": [25]}}]
    [question] = squad_from_hub(2, "validation", lambda name, split: rows if name == "rajpurkar/squad_v2" else [])
    assert question.answers == ("1843",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is no JSON"),
        ('{"version": "1.1"}', "is not as SQuAD"),
        ('{"data": []}', "has no question"),
        (
            json.dumps({"data": [{"paragraphs": [{"context": CONTEXT, "qas": [{"id": "q"}]}]}]}),
            "question q is not as in SQuAD",
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
def test_what_is_wrong_is_told_in_a_line(content: str, says: str, tmp_path: Path) -> None:
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
def test_answers_of_other_types_are_told_in_a_line(answers: Any, tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl"
    path.write_text(json.dumps({"id": "q", "question": "When ?", "context": CONTEXT, "answers": answers}))
    with pytest.raises(DataError, match="line 1 is not as in SQuAD: expected texts"):
        read_squad(path)


@pytest.mark.parametrize("start", [None, "25", 25.0])
def test_a_start_that_is_no_number_is_told_in_a_line(start: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="question q is not as in SQuAD: expected texts"):
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
def test_questions_that_cannot_be_meant_are_told(questions: list[dict[str, Any]], says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says):
        read_squad(squad_file(tmp_path, *questions))


def test_an_answers_tokens_in_the_window_that_has_it(tmp_path: Path) -> None:
    question = Question("q", "When ?", CONTEXT, ("in 1843",), (22,))
    encoder = word_encoder(tmp_path, f"{CONTEXT} When ?", max_length=11)
    tokens, windows = windows_of(encoder, question)
    assert len(windows) > 1
    found = [answer_in(window, tokens, question) for window in windows]
    has = [place for place in found if place != (0, 0)]
    assert has
    for window, (start, end) in zip(windows, found, strict=True):
        if (start, end) != (0, 0):
            words = [encoder.token_text(token) for token in window.ids[start : end + 1]]
            assert words == ["in", "1843"]


def test_a_long_question_is_cut_as_by_the_reference(tmp_path: Path) -> None:
    encoder = word_encoder(tmp_path, f"{CONTEXT} so", max_length=90)
    question = Question("q", " ".join(["so"] * 70), CONTEXT, (), ())
    _, windows = windows_of(encoder, question)
    assert windows[0].type_ids.index(1) == 64 + 2
