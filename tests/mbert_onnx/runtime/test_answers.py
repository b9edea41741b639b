"""Decoding, on numbers that can be worked out by hand."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from mbert_onnx.runtime.answers import (
    FilledMask,
    FilledToken,
    as_json,
    best,
    choose,
    classify_logits,
    fill_text,
    next_sentence,
    normalized,
    pooling_weights,
    sigmoid,
    softmax,
)
from mbert_onnx.runtime.entities import TokenEntity, group_tokens, label_tokens, label_words, without_outside
from mbert_onnx.runtime.spans import Answer, best_spans, merge_windows, window_answers
from mbert_onnx.text.encoder import Tokens, Window

LABELS = {"id2label": {"0": "bad", "1": "good"}}


def floats(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


def approx(value: Any) -> Any:
    """pytest's, which may then stand where a result has a float."""
    return pytest.approx(value)


def words(text: str) -> Tokens:
    """A text whose tokens are its words."""
    spans: list[tuple[int, int]] = []
    end = 0
    for word in text.split():
        start = text.index(word, end)
        end = start + len(word)
        spans.append((start, end))
    return Tokens(text, list(range(len(spans))), text.split(), spans, spans)


def test_softmax_is_exact_and_survives_large_logits() -> None:
    assert softmax(np.log([1.0, 2.0, 5.0])) == approx([0.125, 0.25, 0.625])
    assert softmax(floats([[1e8, 1e8], [-1e8, 1e8]])).tolist() == [[0.5, 0.5], [0.0, 1.0]]


@pytest.mark.parametrize("top_k", [None, 1, 3, 40, 100])
def test_the_best_are_those_of_a_stable_sort(top_k: int | None) -> None:
    rng = np.random.default_rng(0)
    for scores in (floats(rng.integers(0, 5, 40)), rng.random(40), floats([np.nan] * 39 + [1.0])):
        assert best(scores, top_k) == np.argsort(-scores, kind="stable")[:top_k].tolist()


def test_sigmoid_is_exact_and_survives_large_logits() -> None:
    assert sigmoid(floats([0.0, np.log(3.0), -1e8, 1e8])) == approx([0.5, 0.75, 0.0, 1.0])


def test_best_keeps_the_order_of_ties() -> None:
    assert best(floats([1, 3, 3, 2]), 3) == [1, 2, 3]
    assert best(floats([1, 3]), None) == [1, 0]


def test_labels_are_ranked_and_named() -> None:
    result = classify_logits(np.log(floats([1, 3])), LABELS, top_k=None, truncated=True)
    assert [(label.label, label.score) for label in result.labels] == [
        ("good", approx(0.75)),
        ("bad", approx(0.25)),
    ]
    assert (result.label, result.truncated) == ("good", True)
    assert len(classify_logits(floats([1, 3]), LABELS, top_k=1, truncated=False).labels) == 1


@pytest.mark.parametrize(
    ("id2label", "names"),
    [
        ({"1": "bad", "2": "good"}, ["bad", "good"]),
        ({"1": "good"}, ["LABEL_0", "good"]),
        ({"0": "bad", "5": "good"}, ["bad", "good"]),
        (None, ["LABEL_0", "LABEL_1"]),
        ({"bad": 0, "good": 1}, ["LABEL_0", "LABEL_1"]),
    ],
)
def test_labels_of_maps_that_other_programs_wrote(id2label: Any, names: list[str]) -> None:
    config = {"id2label": id2label}
    logits = np.log(floats([1, 3]))
    assert [one.label for one in classify_logits(logits, config, top_k=None, truncated=False).labels] == names[::-1]
    labelled = label_tokens(logits[None], words("ada"), config, unknown_token=None, first_index=1)
    assert labelled[0].entity == names[1]


@pytest.mark.parametrize(
    ("config", "logits", "scores"),
    [
        ({"problem_type": "multi_label_classification"}, [0.0, np.log(3.0)], [0.75, 0.5]),
        ({"problem_type": "multi_label_classification"}, [0.0], [0.5]),
        ({"problem_type": "regression"}, [-2.0, 7.0], [7.0, -2.0]),
        ({}, [3.5], [3.5]),
        ({"problem_type": "single_label_classification"}, [0.0, 0.0], [0.5, 0.5]),
    ],
)
def test_the_problem_type_chooses_the_score(config: dict[str, str], logits: list[float], scores: list[float]) -> None:
    result = classify_logits(floats(logits), config, top_k=None, truncated=False)
    assert [label.score for label in result.labels] == approx(scores)


def test_a_label_without_a_name_has_its_number() -> None:
    assert classify_logits(floats([0, 9]), {}, top_k=1, truncated=False).label == "LABEL_1"


def test_the_first_logit_means_is_next() -> None:
    result = next_sentence(np.log(floats([9, 1])), truncated=False)
    assert result.as_dict() == {"is_next": approx(0.9), "not_next": approx(0.1), "truncated": False}


def test_choices_are_ranked_with_their_place() -> None:
    result = choose(np.log(floats([1, 2, 5])), ["a", "b", "c"], truncated=False)
    assert [(choice.index, choice.choice, choice.score) for choice in result.choices] == [
        (2, "c", approx(0.625)),
        (1, "b", approx(0.25)),
        (0, "a", approx(0.125)),
    ]
    assert result.choice == "c"


@pytest.mark.parametrize(
    ("token", "filled"), [("Paris", "In Paris."), ("##side", "Inside."), (",", "In ,."), ("##", "In.")]
)
def test_a_token_takes_the_place_of_its_mask(token: str, filled: str) -> None:
    assert fill_text("In [MASK].", 3, 9, token, "##") == filled


def test_without_a_prefix_every_token_is_a_word() -> None:
    assert fill_text("In [MASK].", 3, 9, "##side", None) == "In ##side."


def test_pooling_counts_each_token_once() -> None:
    left = Window([0] * 6, [0] * 6, begin=1, first=0, count=4, owned_from=0, owned_to=3)
    right = Window([0] * 5, [0] * 5, begin=1, first=2, count=3, owned_from=3, owned_to=5)
    assert pooling_weights(left, 2).tolist() == [0.5, 1, 1, 1, 0, 0.5]
    assert pooling_weights(right, 2).tolist() == [0.5, 0, 1, 1, 0.5]


def test_normalized_vectors_have_length_one_and_zeros_stay() -> None:
    assert normalized(floats([[3, 4], [0, 0]])).tolist() == [[approx(0.6), approx(0.8)], [0, 0]]


def test_results_become_json() -> None:
    filled = FilledMask(3, 9, (FilledToken(0.5, 7, "x", "In x."),))
    expected = {
        "start": 3,
        "end": 9,
        "tokens": [{"score": 0.5, "token": 7, "token_str": "x", "sequence": "In x."}],
    }
    assert json.loads(json.dumps(as_json([filled]))) == [expected]
    assert as_json(floats([1, 2])) == [1.0, 2.0]
    assert as_json({"logits": floats([[1]])}) == {"logits": [[1.0]]}


@pytest.mark.parametrize(("tokens", "longest"), [(1, 15), (4, 2), (6, 1), (7, 15), (40, 15)])
def test_spans_are_those_of_trying_all(tokens: int, longest: int) -> None:
    random = np.random.default_rng(tokens)
    start, end = random.random(tokens), random.random(tokens)
    tried = [
        (first, last, start[first] * end[last])
        for first, last in itertools.product(range(tokens), repeat=2)
        if first <= last < first + longest
    ]
    tried.sort(key=lambda span: -span[2])
    assert best_spans(start, end, longest, 7) == [approx(span) for span in tried[:7]]


def test_an_answer_is_the_best_span_of_its_window() -> None:
    # [CLS] q [SEP] it was ada lovelace [SEP]; the question's large logits must not matter, [CLS] takes its share.
    start = np.log(np.array([2.0, 999, 999, 1, 1, 5, 1, 999]))
    end = np.log(np.array([1.0, 999, 999, 1, 1, 2, 5, 999]))
    answers, no_answer = window_answers(
        start,
        end,
        context=slice(3, 7),
        null=0,
        first=0,
        tokens=words("It was Ada Lovelace"),
        top_k=2,
        max_answer_len=15,
    )
    assert answers[0] == Answer("Ada Lovelace", approx(0.5 * 0.5), 7, 19)
    assert answers[1] == Answer("Ada", approx(0.5 * 0.2), 7, 10)
    assert no_answer == approx(0.2 * 0.1)


def test_without_a_null_token_the_context_has_it_all() -> None:
    answers, no_answer = window_answers(
        np.zeros(2),
        np.zeros(2),
        context=slice(0, 2),
        null=None,
        first=0,
        tokens=words("a b"),
        top_k=3,
        max_answer_len=1,
    )
    assert [(answer.answer, answer.score) for answer in answers] == [("a", 0.25), ("b", 0.25)]
    assert no_answer == 0.0


def test_spans_within_the_same_words_are_one_answer() -> None:
    # "unbelievable" in two tokens, read in a window that begins at the second of them.
    word, other = (0, 12), (13, 16)
    tokens = Tokens(
        "unbelievable fox", [1, 2, 3], ["unbeliev", "##able", "fox"], [(0, 8), (8, 12), other], [word, word, other]
    )
    answers, _ = window_answers(
        np.zeros(2), np.zeros(2), context=slice(0, 2), null=None, first=1, tokens=tokens, top_k=2, max_answer_len=1
    )
    assert [answer.answer for answer in answers] == ["unbelievable", "fox"]
    whole, _ = window_answers(
        np.zeros(3), np.zeros(3), context=slice(0, 3), null=None, first=0, tokens=tokens, top_k=1, max_answer_len=2
    )
    # Of nine pairs: both tokens alone and together are the word (3), the last with "fox" is the whole text (1).
    assert {answer.answer: round(answer.score * 9) for answer in whole} == {
        "unbelievable": 3,
        "unbelievable fox": 1,
        "fox": 1,
    }


def test_the_same_text_twice_in_a_window_adds_up_and_keeps_its_better_place() -> None:
    start = np.log(np.array([1.0, 2, 5]))
    answers, _ = window_answers(
        start,
        np.zeros(3),
        context=slice(0, 3),
        null=None,
        first=0,
        tokens=words("Fox or fox"),
        top_k=1,
        max_answer_len=1,
    )
    assert answers[0] == Answer("fox", approx((1 + 5) / 8 / 3), 7, 10)


def test_windows_do_not_add_up() -> None:
    merged = merge_windows([[Answer("Ada", 0.7, 0, 3)], [Answer("ada", 0.9, 20, 23), Answer("she", 0.8, 30, 33)]], 2)
    assert merged == [Answer("ada", 0.9, 20, 23), Answer("she", 0.8, 30, 33)]


def tagged(*labels: str) -> list[TokenEntity]:
    return [TokenEntity(label, 0.5 + n / 10, n + 1, f"w{n}", 3 * n, 3 * n + 2) for n, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        (["B-PER", "I-PER", "O", "I-PER"], [("PER", "w0 w1"), ("PER", "w3")]),
        (["B-PER", "B-PER", "I-PER"], [("PER", "w0"), ("PER", "w1 w2")]),
        (["I-PER", "I-LOC", "B-LOC"], [("PER", "w0"), ("LOC", "w1"), ("LOC", "w2")]),
        (["PER", "PER", "I-PER"], [("PER", "w0 w1 w2")]),
        (["S-PER", "S-PER"], [("PER", "w0 w1")]),
        (["O", "O"], []),
        ([], []),
    ],
)
def test_neighbours_with_one_label_are_one_entity(labels: list[str], groups: list[tuple[str, str]]) -> None:
    found = group_tokens(tagged(*labels), " ".join)
    assert [(entity.entity_group, entity.word) for entity in found] == groups


@pytest.mark.parametrize(("aggregation", "label", "score"), [("first", "B-PER", 0.6), ("max", "I-LOC", 0.9)])
def test_a_word_has_one_label(aggregation: Any, label: str, score: float) -> None:
    tokens = [
        TokenEntity("B-PER", 0.6, 1, "lon", 0, 3),
        TokenEntity("I-LOC", 0.9, 2, "##don", 3, 6),
        TokenEntity("O", 0.7, 3, "is", 7, 9),
    ]
    found = label_words(tokens, [(0, 6), (0, 6), (7, 9)], lambda parts: "".join(parts).replace("##", ""), aggregation)
    assert found == [TokenEntity(label, score, 1, "london", 0, 6), tokens[2]]


def test_an_entity_has_the_mean_score_and_all_its_characters() -> None:
    [entity] = group_tokens(tagged("B-PER", "I-PER"), " ".join)
    assert entity.as_dict() == {
        "entity_group": "PER",
        "score": approx(0.55),
        "word": "w0 w1",
        "start": 0,
        "end": 5,
    }


def test_tokens_are_labelled_and_outside_ones_dropped() -> None:
    tokens = Tokens("Ada 漢", [1, 2], ["ada", "[UNK]"], [(0, 3), (4, 5)], [(0, 3), (4, 5)])
    config = {"id2label": {"0": "O", "1": "B-PER"}}
    logits = np.log(floats([[3, 1], [1, 3]]))
    labelled = label_tokens(logits, tokens, config, unknown_token="[UNK]", first_index=1)
    assert without_outside(labelled) == [TokenEntity("B-PER", approx(0.75), 2, "漢", 4, 5)]
