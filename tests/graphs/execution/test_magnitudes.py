"""Magnitudes of a graph's values."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import graph

from graphs.execution.magnitudes import measure

TEXT = """(float[n, 2] x) => (float[n, 2] y) <float[2] beta, float[2, 2] W, float[2] b>
{ shifted = Add(x, beta) active = Relu(shifted) y = Gemm(active, W, b) }"""
FEED = {"x": np.array([[1, 2], [-3, 4]], np.float32)}


def model() -> ir.Model:
    return graph(TEXT, beta=np.array([1, -1]), W=np.eye(2), b=np.array([3, 0]))


def test_sums_and_linear_layers_are_measured_in_root_mean_square() -> None:
    # shifted: [[2, 1], [-2, 3]]; y: [[5, 1], [3, 3]]
    assert measure(model(), FEED) == pytest.approx({"shifted": np.sqrt(18 / 4), "y": np.sqrt(44 / 4)})


def test_the_graph_is_not_modified() -> None:
    measured = model()
    before = ir.to_proto(measured)
    measure(measured, FEED)
    assert ir.to_proto(measured) == before


def test_values_whose_square_is_beyond_float32_are_measured() -> None:
    large = {"x": np.full((2, 2), 1e30, np.float32)}
    assert measure(model(), large)["shifted"] == pytest.approx(1e30)


def test_a_feed_of_no_tokens_measures_nothing_large() -> None:
    assert measure(model(), {"x": np.zeros((0, 2), np.float32)}) == {"shifted": 0.0, "y": 0.0}


def test_integers_are_not_measured() -> None:
    integers = graph("(int64[n] i) => (int64[n] y) { y = Add(i, i) }")
    assert measure(integers, {"i": np.arange(3)}) == {}


def test_a_graph_with_nothing_to_measure() -> None:
    assert measure(graph("(float[n] x) => (float[n] y) { y = Relu(x) }"), {"x": np.ones(3, np.float32)}) == {}
