"""`mbert.AnswerSpans` against the runtime, on the same logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answer_functions import Rows, answered, random_text, rows_of, same_scores, small_encoder

from graphs.functions.answers.answer_spans import answer_spans
from graphs.model.opsets import OLDEST_OPSET
from mbert_onnx.runtime.spans import Answer, merge_windows, window_answers

rng = np.random.default_rng(4)

CONTEXTS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "one token": (["x"], {}),
    "one window": ([random_text(rng, 12)], {"padding": 4}),
    "windows": ([random_text(rng, 40)], {"max_seq_len": 20, "stride": 6}),
    "windows side by side": ([random_text(rng, 30)], {"max_seq_len": 11, "stride": 0}),
    "contexts": ([random_text(rng, n) for n in (30, 1, 12, 25)], {"max_seq_len": 17, "stride": 5}),
    "one word again and again": (["paris Paris PARIS pariS"], {"max_seq_len": 12, "stride": 3}),
}
LOGITS = {"small": 1.0, "large": 8.0, "underflow": 300.0, "equal": 0.0}


def runtime_answers(
    rows: Rows, feed: dict[str, Any], *, top_k: int = 1, longest: int = 15, no_answer: bool = False
) -> tuple[list[list[Answer]], list[float]]:
    """Of each context, what `Model.answer` makes of its windows, and the score of "no answer"."""
    results, lowest = [], []
    for text, tokens in enumerate(rows.tokens):
        found, score = [], 1.0
        for row, window in zip(rows.of_text(text), rows.windows[text], strict=True):
            answers, null = window_answers(
                feed["start_logits"][row],
                feed["end_logits"][row],
                context=slice(window.begin, window.begin + window.count),
                null=0,
                first=window.first,
                tokens=tokens,
                top_k=top_k,
                max_answer_len=longest,
            )
            found.append(answers)
            score = min(score, null)
        if no_answer:
            found.append([Answer("", score, 0, 0)])
        results.append(merge_windows(found, top_k))
        lowest.append(score)
    return results, lowest


def feed_of(rows: Rows, scale: float) -> dict[str, Any]:
    values = (rng.normal(size=(2, *rows.shape)) * scale).astype(np.float32)
    return {**rows.arrays, **rows.splits(), "start_logits": values[0], "end_logits": values[1]}


def compare(rows: Rows, feed: dict[str, Any], **options: Any) -> dict[str, np.ndarray]:
    """Asserts that all answers are the runtime's; returns them."""
    given = {"top_k": 1, "longest": 15, "no_answer": False} | options
    numbers = {"top_k": np.int64(given["top_k"]), "longest_answer": np.int64(given["longest"])}
    found = answered(answer_spans(OLDEST_OPSET), {**feed, **numbers, "allow_no_answer": np.bool_(given["no_answer"])})
    expected, lowest = runtime_answers(rows, feed, **options)
    same_scores(found["no_answer"], lowest)
    width = max(map(len, expected))
    assert found["spans"].shape == (len(expected), width, 2)
    for text, answers in enumerate(expected):
        bytes_of = rows.bytes_of(text)
        spans = [[bytes_of[answer.start], bytes_of[answer.end]] for answer in answers]
        missing = width - len(answers)
        assert found["spans"][text].tolist() == [*spans, *[[0, 0]] * missing]
        same_scores(found["scores"][text], [*(answer.score for answer in answers), *[-1.0] * missing])
    return found


@pytest.mark.parametrize("logits", LOGITS)
@pytest.mark.parametrize("name", CONTEXTS)
def test_answers_are_the_runtime_s(name: str, logits: str, tmp_path: Path) -> None:
    contexts, options = CONTEXTS[name]
    rows = rows_of(small_encoder(tmp_path), contexts, ["ada?", "who is it", "x", "!"][: len(contexts)], **options)
    feed = feed_of(rows, LOGITS[logits])
    for top_k, longest, no_answer in ((1, 15, False), (3, 1, True), (7, 4, False), (100, 1000, True)):
        compare(rows, feed, top_k=top_k, longest=longest, no_answer=no_answer)


def test_no_answer_can_be_the_best(tmp_path: Path) -> None:
    rows = rows_of(small_encoder(tmp_path), [random_text(rng, 30)], ["x"], max_seq_len=20, stride=4)
    feed = feed_of(rows, 1.0)
    for name in ("start_logits", "end_logits"):
        feed[name][:, 0] = 12
    found = compare(rows, feed, top_k=2, no_answer=True)
    assert found["spans"][0, 0].tolist() == [0, 0]
    assert found["scores"][0, 0] == found["no_answer"][0] > 0.9
    assert compare(rows, feed)["spans"][0, 0].tolist() != [0, 0]
    # One window with an answer is enough.
    feed["start_logits"][1, 0] = -12
    assert compare(rows, feed, no_answer=True)["spans"][0, 0].tolist() != [0, 0]


def test_rows_without_a_special_token_in_front_have_no_null_span(tmp_path: Path) -> None:
    rows = rows_of(small_encoder(tmp_path), ["ada paris"], ["x"])
    feed = feed_of(rows, 1.0)
    feed["sequence_ids"] = feed["sequence_ids"].copy()
    feed["sequence_ids"][:, 0] = 0
    numbers = {"top_k": np.int64(1), "longest_answer": np.int64(15), "allow_no_answer": np.bool_(True)}
    found = answered(answer_spans(OLDEST_OPSET), {**feed, **numbers})
    window, tokens = rows.windows[0][0], rows.tokens[0]
    place = slice(window.begin, window.begin + window.count)
    values = (feed["start_logits"][0], feed["end_logits"][0])
    options: dict[str, Any] = {"null": None, "first": 0, "top_k": 1, "max_answer_len": 15}
    answers, null = window_answers(*values, context=place, tokens=tokens, **options)
    assert found["no_answer"].tolist() == [null] == [0.0]
    same_scores(found["scores"][0, 0], answers[0].score)


def test_the_context_may_be_the_first_text(tmp_path: Path) -> None:
    rows = rows_of(small_encoder(tmp_path), ["ada paris"], ["x"])
    feed = feed_of(rows, 1.0)
    numbers = {"top_k": np.int64(3), "longest_answer": np.int64(15), "allow_no_answer": np.bool_(False)}
    first = {**feed, "sequence_ids": np.where(feed["sequence_ids"] < 0, -1, 1 - feed["sequence_ids"])}
    found = answered(answer_spans(OLDEST_OPSET), {**feed, **numbers})
    for name, array in answered(answer_spans(OLDEST_OPSET, context=0), {**first, **numbers}).items():
        np.testing.assert_array_equal(array, found[name])


@pytest.mark.parametrize("counts", [(0, 0), (-5, -1), (2**62, 2**62)])
def test_counts_out_of_range_are_clipped(counts: tuple[int, int], tmp_path: Path) -> None:
    rows = rows_of(small_encoder(tmp_path), ["ada paris x"], ["x"])
    feed = feed_of(rows, 1.0)
    numbers = {"top_k": np.int64(counts[0]), "longest_answer": np.int64(counts[1]), "allow_no_answer": np.bool_(False)}
    found = answered(answer_spans(OLDEST_OPSET), {**feed, **numbers})
    top_k, longest = (max(min(count, 10**6), 1) for count in counts)
    (expected,), _ = runtime_answers(rows, feed, top_k=top_k, longest=longest)
    same_scores(found["scores"][0], [answer.score for answer in expected])


def test_padding_and_an_empty_context_have_no_answer(tmp_path: Path) -> None:
    rows = rows_of(small_encoder(tmp_path), ["ada"], ["x"], padding=2)
    feed = feed_of(rows, 1.0)
    feed["sequence_ids"] = np.full_like(feed["sequence_ids"], -1)
    feed |= {"context": np.zeros(0, np.uint8), "context_splits": np.zeros(2, np.int64)}
    for allow, score in ((False, -1.0), (True, 1.0)):
        numbers = {"top_k": np.int64(3), "longest_answer": np.int64(15), "allow_no_answer": np.bool_(allow)}
        found = answered(answer_spans(OLDEST_OPSET), {**feed, **numbers})
        assert found["spans"].tolist() == [[[0, 0]]]
        assert found["scores"].tolist() == [[score]]
        assert found["no_answer"].tolist() == [1.0]
