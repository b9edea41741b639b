"""Cosine similarity of sentences' vectors: its numbers, its text, and the gate that it decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mbert_onnx.conversion.comparison.accuracy import Comparison
from mbert_onnx.conversion.comparison.cosines import CosineSum
from mbert_onnx.conversion.damage import Damage, measure_damage
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY, task_named


def outputs(vectors: list[list[float]]) -> dict[str, np.ndarray]:
    return {"sentence_embedding": np.array(vectors, np.float32)}


def damage(found: list[list[float]], wanted: list[list[float]], **options: Any) -> Damage:
    feed = {"attention_mask": np.ones((len(wanted), 2), np.int64)}
    named = {"precision": "int8", "calibration": "some texts", **options}
    return measure_damage(lambda _: outputs(wanted), lambda _: outputs(found), [feed], SENTENCE_SIMILARITY, **named)


def test_mean_and_least_over_batches() -> None:
    total = CosineSum()
    total.add(np.array([[2.0, 0.0]]), np.array([[1.0, 0.0]]))
    total.add(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 0.0]]))
    found = total.value()
    assert found is not None
    assert (found.mean, found.least, found.texts) == (pytest.approx((1 + 0.6 + 1) / 3), pytest.approx(0.6), 3)
    assert str(found) == "cosine 0.86667 on average and 0.60000 at least over 3 texts"


def test_texts_without_tokens_do_not_count() -> None:
    comparison = Comparison(SENTENCE_SIMILARITY)
    mask = np.array([[1, 1], [0, 0]])
    comparison.add(outputs([[1, 0], [0, 1]]), outputs([[1, 0], [1, 0]]), mask)
    assert comparison.agreement() == 1.0
    assert comparison.decisions() == (0, 0)


def test_the_gate_decides_by_the_mean_cosine() -> None:
    wanted = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    near, far = damage(wanted, wanted), damage([[1.0, 0.3], [0.3, 1.0], [1.0, 1.0]], wanted)
    assert near.passed
    assert not far.passed
    assert "cosine 0.97188 on average and 0.95783 at least over 3 texts (at least 0.99 wanted)" in str(far)
    assert far.as_dict()["cosines"] == {"mean": far.agreement, "least": pytest.approx(0.95783, abs=1e-5), "texts": 3}
    assert damage([[1.0, 0.3], [0.3, 1.0], [1.0, 1.0]], wanted, min_agreement=0.95).passed
    assert not damage([[np.nan, 0.0], [0.0, 1.0], [1.0, 1.0]], wanted).accepted


def test_other_models_have_no_cosines() -> None:
    comparison = Comparison(task_named("text-classification"))
    comparison.add({"logits": np.eye(2)}, {"logits": np.eye(2)}, np.ones((2, 3)))
    assert comparison.cosines() is None
