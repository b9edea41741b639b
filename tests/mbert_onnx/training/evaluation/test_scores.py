"""Metrics of SQuAD and GLUE on known cases, confidence intervals, and the paper's figures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from mbert_onnx.training.data.glue import TASKS
from mbert_onnx.training.evaluation.scores.glue_metrics import METRICS
from mbert_onnx.training.evaluation.scores.intervals import interval, seed_interval, share_interval
from mbert_onnx.training.evaluation.scores.paper_figures import published
from mbert_onnx.training.evaluation.scores.squad_metrics import exact_match, f1


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "overlap"),
    [
        ("the Denver Broncos!", ["Denver Broncos"], 1, 1),
        ("Broncos", ["Denver Broncos"], 0, 2 / 3),
        ("Denver Broncos", ["Carolina", "denver  broncos."], 1, 1),
        ("in the Santa Clara, California", ["Santa Clara"], 0, 2 * (2 / 4 * 1) / (2 / 4 + 1)),
        ("Panthers", ["Denver Broncos"], 0, 0),
        # A repeated word counts at most as often as on the other side.
        ("New New York", ["New York"], 0, 0.8),
        # Without an answer only the empty answer is correct; an answer of articles is empty.
        ("", [], 1, 1),
        ("Denver", [], 0, 0),
        ("", ["Denver"], 0, 0),
        ("", ["the"], 1, 1),
    ],
)
def test_squad_metrics(prediction: str, answers: list[str], exact: float, overlap: float) -> None:
    assert exact_match(prediction, answers) == exact
    assert f1(prediction, answers) == pytest.approx(overlap)


@pytest.mark.parametrize(
    ("metric", "labels", "predictions", "value"),
    [
        ("accuracy", [0, 1, 1, 2], [0, 1, 0, 2], 0.75),
        # Precision 2/3, recall 2/4.
        ("f1", [1, 1, 1, 1, 0], [1, 1, 0, 0, 1], 2 * (2 / 3 * 1 / 2) / (2 / 3 + 1 / 2)),
        ("f1", [0, 0], [0, 0], 0.0),
        # TP 2, TN 1, FP 1, FN 0: (2·1 − 1·0)/√(3·2·2·1)
        ("matthews_correlation", [1, 1, 0, 0], [1, 1, 1, 0], 2 / np.sqrt(12)),
        ("matthews_correlation", [1, 0], [1, 1], 0.0),
        ("pearson", [0, 1, 2], [0, 1, 5], 0.9449111825),
        ("spearman", [0, 1, 2], [0, 1, 500], 1.0),
        ("spearman", [0, 1, 2], [3, 3, 3], 0.0),
    ],
)
def test_glue_metrics(metric: str, labels: list[int], predictions: list[int], value: float) -> None:
    assert METRICS[metric](np.array(labels), np.array(predictions)) == pytest.approx(value)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_accuracy_and_f1_equal_those_of_scikit_learn(share: float) -> None:
    random = np.random.default_rng(0)
    for count in (1, 2, 50):
        labels, predictions = (random.random((2, count)) < share).astype(np.float64)
        assert METRICS["accuracy"](labels, predictions) == pytest.approx(accuracy_score(labels, predictions))
        expected = f1_score(labels, predictions, pos_label=1, labels=[0, 1], average=None, zero_division=0)[1]
        assert METRICS["f1"](labels, predictions) == pytest.approx(expected)


def test_all_metrics_of_the_tasks_are_implemented() -> None:
    assert {metric for task in TASKS.values() for metric in task.metrics} == set(METRICS)


def test_an_interval_contains_the_score_and_narrows_with_more_texts() -> None:
    right = np.arange(400) % 5 != 0
    few = interval(lambda at: float(right[at].mean()), 50)
    many = interval(lambda at: float(right[at].mean()), 400)
    assert few is not None
    assert many is not None
    assert interval(lambda _: 1.0, 1) is None
    assert few[0] < 0.8 < few[1]
    assert many[0] < 0.8 < many[1]
    # Half width for a share of 0.8: 1.96·√(0.8·0.2/400)
    assert many[1] - many[0] == pytest.approx(2 * 0.0392, rel=0.15)
    assert many[1] - many[0] < few[1] - few[0]


def test_a_share_of_one_has_an_interval() -> None:
    # Wilson's interval: 1/(1 + 1.96²/40) to 1.
    low, high = share_interval(40, 40)
    assert low == pytest.approx(1 / (1 + 1.959964**2 / 40))
    assert high == pytest.approx(1.0)


def test_the_papers_figures_by_task() -> None:
    assert published("mnli")["MobileBERT"] == (83.3, 82.6)
    assert published("squad")["MobileBERT"] == (82.9, 90.0)
    assert published("wnli") == {}


@pytest.mark.parametrize(("of_seeds", "of_texts"), [(0.0, 0.5), (0.3, 0.5), (0.3, 0.0)])
def test_the_interval_over_seeds_and_texts_contains_the_true_mean_19_times_in_20(
    of_seeds: float, of_texts: float
) -> None:
    random, inside, runs = np.random.default_rng(0), 0, 400
    for _ in range(runs):
        values = (
            0.2
            + random.normal(0, of_seeds, (3, 1))
            + random.normal(0, of_texts, (1, 40))
            + random.normal(0, 1, (3, 40))
        )
        low, high = seed_interval(values) or (0.0, 0.0)
        inside += low <= 0.2 <= high
    assert 0.91 <= inside / runs <= 0.995


def test_the_interval_over_seeds_that_agree_is_that_over_texts() -> None:
    values = np.tile(np.random.default_rng(0).normal(0, 1, 200), (3, 1))
    expected = stats.t.interval(0.95, 199, loc=values[0].mean(), scale=stats.sem(values[0]))
    assert seed_interval(values) == pytest.approx(expected)
    assert seed_interval(np.ones((3, 9))) == (1.0, 1.0)
    assert seed_interval(values[:1]) is None
