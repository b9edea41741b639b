"""Activations in units that are chosen: whatever they are, the numbers stay."""

from __future__ import annotations

from collections import Counter

import graph_helpers
import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import LAYER, Text, constant, graph, leaves_alone, random_feed, run, same_numbers, valid
from graph_texts import ATTENTION
from hypothesis import given, settings
from hypothesis import strategies as st
from text_models import bert, text_feed

from graphs.execution.float64 import widen
from graphs.execution.runner import run as run_any
from graphs.passes.lower.rescale import Rescale
from graphs.precision.channel_groups import PLAIN, ChannelGroups

NETWORK = """(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[3] a, float[3, 2] W, float[2] b>
    { h = Gemm(x, V, a) r = Relu(h) y = Gemm(r, W, b) }"""


class InUnits(ir.passes.InPlacePass):
    """The pass.

    Args:
        units: Of all choices but the plain one; repeated where there are more.
    """

    def __init__(self, units: np.ndarray) -> None:
        super().__init__()
        self._units = units

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        channels = ChannelGroups(model.graph)
        step = Rescale(channels, np.concatenate([[1.0], np.resize(self._units, channels.count - 1)]))
        modified = step(model).modified
        assert modified == (step.matches > 0)
        return ir.passes.PassResult(model, modified=modified)


def becomes(before: ir.Model, units: np.ndarray, body: str) -> ir.Model:
    """Asserts that these units make this of a graph."""
    return graph_helpers.becomes(InUnits(units), before, body, again=False)


# Graphs in which there is something to choose. What each is about is its name.
GRAPHS = {
    "hidden channels": NETWORK,
    "a layer": Text(LAYER).replace("Div(query, root)", "Mul(query, root)"),
    "attention": ATTENTION,
    "transposed weights": Text(NETWORK)
    .replace("float[4, 3] V", "float[3, 4] V")
    .replace("float[3, 2] W", "float[2, 3] W")
    .replace("Gemm(", "Gemm <transB = 1> ("),
    "a bias of one number": Text(NETWORK).replace("float[3] a", "float[1] a"),
    "a bias for each token": Text(NETWORK).replace("float[n, ", "float[5, ").replace("float[3] a", "float[5, 3] a"),
    "a constant for each token": """(float[5, 4] x) => (float[5, 2] y) <float[4, 3] V, float[5, 1] a, float[3, 2] W>
        { h = Gemm(x, V, a) y = MatMul(h, W) }""",
    "residuals": """(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[3, 5] A, float[5] a, float[5, 3] B,
        float[3, 6] C, float[3, 6] D, float[3, 2] W>
        { u = MatMul(x, V) h = Gemm(u, A, a) r = Relu(h) v = Gemm(r, B, u) p = MatMul(v, C)
          q = Gemm <transB = 1> (p, D, v) y = MatMul(q, W) }""",
    "sums with constants": """(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[3] a, float b = {0.7},
        float[1, 3] c, float[1] d, float[3, 2] W>
        { p = MatMul(x, V) q = Add(a, p) r = Sub(b, q) s = Sub(r, c) t = Add(s, d) y = MatMul(t, W) }""",
    "products with constants": """(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[3] g, float h = {-0.7},
        float[1, 3] k, float[3, 2] W>
        { p = MatMul(x, V) q = Mul(g, p) r = Mul(q, h) s = Mul(r, k) t = Relu(s) y = MatMul(t, W) }""",
    "a number for each head": """(float[b, s, 4] x) => (float[b, s, 6] y) <float[4, 6] V, float[2, 1] g,
        int64[4] heads = {0, 0, 2, 3}, int64[3] joined = {0, 0, 6}, float[6, 6] U>
        { a = MatMul(x, V) r = Reshape(a, heads) m = Mul(r, g) t = Reshape(m, joined) y = MatMul(t, U) }""",
    "embeddings": """(int64[b, 5] ids, int64[b, 5] types) => (float[b, 5, 3] y) <float[9, 4] T, float[2, 4] S,
        float[12, 4] P, int64[1] start = {0}, int64[1] end = {5}, int64[1] axis = {0}, float[4] beta, float[4, 3] V>
        { e = Gather(T, ids) g = Gather(S, types) p = Slice(P, start, end, axis) q = Add(g, p) s = Add(e, q)
          t = Add(s, beta) y = MatMul(t, V) }""",
    "parts": """(float[n, 4] x) => (float[n, 2] y)
        <float[4, 6] V, int64[2] sizes = {3, 3}, float[3, 3] A, float[3, 2] B>
        { a = MatMul(x, V) l, r = Split <axis = -1> (a, sizes) m = Gemm(l, A, r) y = MatMul(m, B) }""",
    "a constant of two readers": """(float[n, 4] x) => (float[n, 4] y, float[n, 4] z) <float[4, 4] V, float[4] b>
        { h = Gemm(x, V, b) r = Relu(h) y = MatMul(r, V) z = Add(y, b) }""",
    "a key that is a query": """(float[n, 4] x) => (float[n, n] y, float[n, n] z)
        <float[4, 3] A, float[4, 3] B, float[4, 3] C>
        { a = MatMul(x, A) b = MatMul(x, B) c = MatMul(x, C) bt = Transpose(b) ct = Transpose(c)
          y = MatMul(a, bt) z = MatMul(b, ct) }""",
}  # fmt: skip


@pytest.mark.parametrize("case", [*GRAPHS, "a text model"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_in_any_units_the_function_is_the_same(case: str, seed: int) -> None:
    """In float64, where what is rounded is next to nothing."""
    before, feed = prepared(case)
    widen(before)
    feed = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in feed.items()}
    units = 10.0 ** np.random.default_rng(seed).uniform(-4, 4, size=ChannelGroups(before.graph).count)
    after = before.clone()
    assert InUnits(units)(after).modified
    given, found = run_any(before, feed), run_any(after, feed)
    for name, expected in given.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("case", [*GRAPHS, "a text model"])
def test_units_that_are_powers_of_two_change_no_digit(case: str) -> None:
    before, feed = prepared(case)
    units = 2.0 ** np.random.default_rng(0).integers(-12, 13, size=ChannelGroups(before.graph).count)
    after = before.clone()
    assert InUnits(units)(after).modified
    valid(before, after)
    assert census(after) == census(before)
    given, found = run(before, feed), run(after, feed)
    for name, expected in given.items():
        np.testing.assert_array_equal(found[name], expected)


def prepared(case: str) -> tuple[ir.Model, dict[str, np.ndarray]]:
    if case == "a text model":
        model = bert(("reduced_0 = Div(scores_0, root)", "reduced_0 = Mul(scores_0, root)"))
        return model, text_feed()
    model = graph(GRAPHS[case])
    return model, random_feed(model)


def census(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


# Before and after


def test_hidden_channels_change_the_weights_around_them() -> None:
    before, units = graph(NETWORK), np.array([2.0, 0.25, 8.0, 1.0, 1.0])
    after = becomes(before, units, "h = Gemm(x, V_rescaled, a_rescaled) r = Relu(h) y = Gemm(r, W_rescaled, b)")
    np.testing.assert_array_equal(constant(after, "V.rescaled"), constant(before, "V") / units[:3])
    np.testing.assert_array_equal(constant(after, "a.rescaled"), constant(before, "a") / units[:3])
    np.testing.assert_array_equal(constant(after, "W.rescaled"), constant(before, "W") * units[:3, None])
    assert set(after.graph.initializers) == {"V.rescaled", "a.rescaled", "W.rescaled", "b"}  # the others are gone


def test_transposed_weights_stay_transposed() -> None:
    before, units = graph(GRAPHS["transposed weights"]), np.array([2.0, 0.25, 8.0])
    after = becomes(
        before,
        units,
        """h = Gemm <transB = 1> (x, V_rescaled, a_rescaled) r = Relu(h)
        y = Gemm <transB = 1> (r, W_rescaled, b)""",
    )
    np.testing.assert_array_equal(constant(after, "V.rescaled"), constant(before, "V") / units[:, None])
    np.testing.assert_array_equal(constant(after, "W.rescaled"), constant(before, "W") * units)


def test_a_bias_of_one_number_becomes_one_for_each_channel() -> None:
    before, units = graph(GRAPHS["a bias of one number"]), np.array([2.0, 0.25, 8.0])
    after = before.clone()
    InUnits(units)(after)
    np.testing.assert_array_equal(constant(after, "a.rescaled"), constant(before, "a") / units)


def test_a_table_and_its_reader_change() -> None:
    text = "(int64[n] ids) => (float[n, 3] y) <float[9, 4] T, float[4, 3] V> { e = Gather(T, ids) y = MatMul(e, V) }"
    before, units = graph(text), np.array([1.0, 2.0, 4.0, 0.5])
    after = becomes(before, units, "e = Gather(T_rescaled, ids) y = MatMul(e, V_rescaled)")
    np.testing.assert_array_equal(constant(after, "T.rescaled"), constant(before, "T") / units)


def test_a_constant_that_another_node_reads_stays_as_it_is_for_that_one() -> None:
    before, units = graph(GRAPHS["a constant of two readers"]), np.array([2.0, 4.0, 8.0, 0.5, 1.0, 1.0, 1.0, 1.0])
    after = becomes(
        before, units, "h = Gemm(x, V_rescaled, b_rescaled) r = Relu(h) y = MatMul(r, V_rescaled_2) z = Add(y, b)"
    )
    np.testing.assert_array_equal(constant(after, "b"), constant(before, "b"))


def test_a_constant_that_is_an_output_stays_as_it_is() -> None:
    text = Text(NETWORK).replace("(float[n, 2] y)", "(float[n, 2] y, float[4, 3] V)")
    before = graph(text)
    after = before.clone()
    assert InUnits(np.array([2.0]))(after).modified
    valid(before, after)
    feed = random_feed(before)
    np.testing.assert_array_equal(run(after, feed)["V"], run(before, feed)["V"])


def test_what_is_read_in_a_branch_stays_as_it_is() -> None:
    before = graph("""(float[n, 4] x, bool c) => (float[n, 4] y) <float[4, 4] V, float[4, 4] W>
        { h = MatMul(x, V) r = Relu(h) m = MatMul(r, W)
          y = If (c) <then_branch = g () => (float[n, 4] p) { p = MatMul(m, V) },
                      else_branch = e () => (float[n, 4] q) { q = MatMul(m, W) }> }""")
    body = """h = MatMul(x, V_rescaled) r = Relu(h) m = MatMul(r, W_rescaled)
        y = If (c) <then_branch = g () => (float[n, 4] p) { p = MatMul(m, V) },
                    else_branch = e () => (float[n, 4] q) { q = MatMul(m, W) }>"""
    after = graph_helpers.becomes(InUnits(2.0 ** np.arange(8)), before, body, again=False, exact=False)
    assert {"V", "W"} <= set(after.graph.initializers)
    valid(before, after)
    for choice in (True, False):
        same_numbers(before, after, {**random_feed(before), "c": np.array(choice)})


@pytest.mark.parametrize("case", GRAPHS)
def test_units_of_1_change_nothing(case: str) -> None:
    before = graph(GRAPHS[case])
    leaves_alone(InUnits(np.ones(1)), before)


def test_what_is_plain_stays_plain() -> None:
    model = graph("""(float[n, 4] x) => (float[n, 3] y) <float[4, 4] V, float[4] b, float[4, 3] W>
        { h = Gemm(x, V, b) t = Tanh(h) y = MatMul(t, W) }""")
    channels = ChannelGroups(model.graph)
    units = np.full(channels.count, 2.0)
    units[PLAIN] = 1.0
    assert not Rescale(channels, units)(model).modified


def test_weights_are_rounded_once() -> None:
    before = graph(NETWORK)
    units = np.array([3.0, 0.1, 7.0])
    after = before.clone()
    InUnits(units)(after)
    expected = (constant(before, "V") / units).astype(np.float32)
    np.testing.assert_array_equal(constant(after, "V.rescaled").astype(np.float32), expected)
