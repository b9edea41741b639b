"""Outputs that are not finite, and where such numbers come from."""

from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import graph

from graphs.execution.nonfinite import nonfinite_cause, nonfinite_output, nonfinite_weight

X = {"x": np.full((2, 4), 2.0, np.float32)}


def test_the_output_is_named_and_counted() -> None:
    outputs = {"a": np.ones((2, 3)), "b": np.array([[1.0, np.nan], [np.inf, -np.inf]]), "c": np.array([1, 2])}
    assert nonfinite_output(outputs, {}) == "b is NaN or infinite in 3 of 4 values"
    assert nonfinite_output({"a": outputs["a"], "c": outputs["c"]}, {}) is None


def test_padding_does_not_count() -> None:
    feed = {"attention_mask": np.array([[1, 1], [1, 0]])}
    assert nonfinite_output({"logits": np.array([[1.0, 2.0], [3.0, -np.inf]])}, feed) is None
    assert nonfinite_output({"logits": np.array([[1.0, 2.0], [-np.inf, 3.0]])}, feed) is not None


def test_a_weight_is_the_cause() -> None:
    model = graph("(float[n, 4] x) => (float[n, 4] y) <float[4] w> { y = Mul(x, w) }", w=np.array([1, np.nan, 3, 4]))
    assert nonfinite_cause(model, X) == "w has 1 of 4 values NaN or infinite"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1, np.nan, 3, 4], "w has 1 of 4 values NaN or infinite"),
        ([1, np.inf, -np.inf, 4], "w has 2 of 4 values NaN or infinite"),
        ([1, -np.inf, 3, 4], "w has 1 of 4 values infinite"),
        ([0, -np.inf, 0, -np.inf], None),  # a mask
        ([1, 2, 3, 4], None),
    ],
)
def test_weights_that_are_not_finite(values: list[float], found: str | None) -> None:
    model = graph("(float[n, 4] x) => (float[n, 4] y) <float[4] w> { y = Mul(x, w) }", w=np.array(values))
    assert nonfinite_weight(model) == found


def test_a_constant_is_no_weight_nor_is_what_nothing_reads() -> None:
    text = "(float[n, 4] x) => (float[n, 4] y) <float low, float high, float[4] unread> { y = Clip(x, low, high) }"
    bad = {"low": np.array(-np.inf), "high": np.array(np.inf), "unread": np.full(4, np.nan)}
    assert nonfinite_weight(graph(text, **bad)) is None


def test_the_first_node_is_the_cause() -> None:
    text = (
        "(float[n, 4] x) => (float[n, 4] y) <float big = {1e30}> { a = Neg(x) b = Mul(a, big) c = Sqrt(b) y = Neg(c) }"
    )
    assert nonfinite_cause(graph(text), X) == "the first such tensor is c, the result of Sqrt"
    text = text.replace("c = Sqrt(b)", "c = Mul(b, b)")
    assert nonfinite_cause(graph(text), X) == "the first such tensor is c, the result of Mul"
    text = text.replace("c = Mul(b, b) y = Neg(c)", "y = Mul(b, big)")
    assert nonfinite_cause(graph(text), X) == "the first such tensor is y, the result of Mul"


def test_minus_infinity_in_a_mask_is_not_the_cause() -> None:
    text = "(float[n, 4] x) => (float[n, 4] y) <float[4] m> { a = Add(x, m) b = Exp(a) n = Neg(b) y = Sqrt(n) }"
    model = graph(text, m=np.array([0, 0, 0, -np.inf]))
    assert nonfinite_cause(model, X) == "the first such tensor is y, the result of Sqrt"
