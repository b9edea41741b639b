"""`mbert.LabelScores` and `mbert.ChoiceScores` against the runtime, on the same logits."""

from __future__ import annotations

import numpy as np
import pytest
from answer_functions import answered, same_scores

from graphs.functions.answers.choice_scores import choice_scores
from graphs.functions.answers.label_scores import label_scores
from graphs.functions.answers.probabilities import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Problem
from graphs.model.opsets import OLDEST_OPSET
from mbert_onnx.runtime.answers import choose, classify_logits, next_sentence

PROBLEMS = (SINGLE_LABEL, MULTI_LABEL, REGRESSION)

rng = np.random.default_rng(0)
LOGITS = {
    "random": rng.normal(size=(4, 6)) * 3,
    "equal": np.zeros((2, 5)),
    "some equal": np.array([[1, 2, 2, 1, 2], [0, 0, -1, 0, 3]]),
    "far apart": np.array([[1e4, -1e4, 1e4, 0], [-80, 80, 90, 100]]),
    "one label": rng.normal(size=(3, 1)),
    "many": np.round(rng.normal(size=(2, 300)), 1),
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", LOGITS)
def test_labels_and_scores_are_the_runtime_s(name: str, problem: Problem) -> None:
    function = label_scores(problem, OLDEST_OPSET)
    logits = LOGITS[name].astype(np.float32)
    config = {"problem_type": problem, "id2label": {number: str(number) for number in range(logits.shape[1])}}
    for top_k in (1, 3, logits.shape[1]):
        found = answered(function, {"logits": logits, "top_k": np.int64(top_k)})
        for row, labels, scores in zip(logits, found["labels"], found["scores"], strict=True):
            expected = classify_logits(row, config, top_k=top_k, truncated=False).labels
            assert [str(label) for label in labels] == [label.label for label in expected]
            same_scores(scores, [label.score for label in expected])


@pytest.mark.parametrize(("top_k", "expected"), [(0, 1), (-7, 1), (2**62, 6), (6, 6)])
def test_a_count_out_of_range_is_clipped(top_k: int, expected: int) -> None:
    feed = {"logits": LOGITS["random"].astype(np.float32), "top_k": np.int64(top_k)}
    assert answered(label_scores(SINGLE_LABEL, OLDEST_OPSET), feed)["labels"].shape == (4, expected)


def test_logits_of_half_precision_and_a_count_of_int32() -> None:
    logits = LOGITS["random"].astype(np.float16)
    found = answered(label_scores(SINGLE_LABEL, OLDEST_OPSET), {"logits": logits, "top_k": np.array([2], np.int32)})
    assert found["labels"].tolist() == np.argsort(-logits, axis=1)[:, :2].tolist()


@pytest.mark.parametrize("name", ["random", "equal", "far apart", "some equal"])
def test_choices_are_the_runtime_s(name: str) -> None:
    logits = LOGITS[name].astype(np.float32)
    (scores,) = answered(choice_scores(OLDEST_OPSET), {"logits": logits}).values()
    for row, found in zip(logits, scores, strict=True):
        expected = choose(row, [""] * len(row), truncated=False).choices
        same_scores(found[[choice.index for choice in expected]], [c.score for c in expected])


def test_the_next_sentence_is_the_runtime_s() -> None:
    logits = LOGITS["random"][:, :2].astype(np.float32)
    (scores,) = answered(choice_scores(OLDEST_OPSET), {"logits": logits}).values()
    for row, found in zip(logits, scores, strict=True):
        expected = next_sentence(row, truncated=False)
        same_scores(found, [expected.is_next, expected.not_next])
