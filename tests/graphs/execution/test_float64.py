"""A float32 graph in float64."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import LAYER, constant, graph, random_feed, run_in_float64

from graphs.execution.float64 import widen
from graphs.execution.runner import run
from graphs.pipeline import optimize


def widened(model: ir.Model) -> ir.Model:
    wide = model.clone()
    widen(wide)
    onnx.checker.check_model(ir.to_proto(wide), full_check=True)
    return wide


def computes_in_float64(model: ir.Model, wide: ir.Model) -> None:
    """The same numbers, of which none was rounded to float32 on the way: numpy computes them as onnxruntime does."""
    narrow = random_feed(model)
    feed = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in narrow.items()}
    given, found = run(model, narrow), run(wide, feed)
    exact = onnx.reference.ReferenceEvaluator(ir.to_proto(wide)).run(list(found), feed)
    for (name, array), judge in zip(found.items(), exact, strict=True):
        assert array.dtype == (np.float64 if given[name].dtype == np.float32 else given[name].dtype)
        np.testing.assert_allclose(array, judge, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(array, given[name], rtol=1e-5, atol=1e-5)


TEXTS = {
    "a layer": LAYER,
    "a scalar constant": """(float[n, 4] x) => (float[n, 4] y)
        { c = Constant <value_float = 0.1> () y = Add(x, c) }""",
    "a vector of constants": """(float[n, 4] x) => (float[n, 4] y)
        { c = Constant <value_floats = [0.1, 0.2, 0.3, 0.4]> () y = Mul(x, c) }""",
    "a constant tensor": """(float[n, 2] x) => (float[n, 2] y)
        { c = Constant <value = float[2] {0.1, 0.2}> () y = Mul(x, c) }""",
    "casts": "(int64[n] i) => (float[n] y, int64[n] j) { y = Cast <to = 1> (i) z = Neg(y) j = Cast <to = 7> (z) }",
    "integers stay": "(int64[n] i, int32[n] k) => (int64[n] j, int32[n] l) { j = Add(i, i) l = Add(k, k) }",
    "zeros of a shape": """(float[n, 4] x) => (float[n, 4] y)
        { s = Shape(x) z = ConstantOfShape(s) y = Add(x, z) }""",
    "numbers of a shape": """(float[n, 4] x) => (float[n, 4] y)
        { s = Shape(x) z = ConstantOfShape <value = float[1] {0.1}> (s) y = Add(x, z) }""",
    "an identity matrix": """(float[3, 3] x) => (float[3, 3] y) { e = EyeLike <dtype = 1> (x) y = Add(x, e) }""",
    "branches": """(float[n, 2] x, bool c) => (float[n, 2] y) <float[2] w>
        { y = If (c) <
            then_branch = g () => (float[n, 2] a) { k = Constant <value_float = 0.1> () p = Add(x, k) a = Add(p, w) },
            else_branch = h () => (float[n, 2] a) <float[2] w = {0.1, 0.2}> { a = Mul(x, w) }> }""",
    "a loop": """(float[2] x, int64 count, bool go) => (float[2] y)
        { y = Loop (count, go, x) <body = loop (int64 i, bool on, float[2] u) => (bool still, float[2] v)
            { still = Identity(on) k = Constant <value_float = 0.1> () v = Add(u, k) }> }""",
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_graph_computes_in_float64(case: str) -> None:
    model = graph(TEXTS[case])
    computes_in_float64(model, widened(model))


@pytest.mark.parametrize(
    "text",
    [
        "{ q = SequenceConstruct(x, x) i = Constant <value_int = 1> () y = SequenceAt(q, i) }",
        "{ e = SequenceEmpty() q = SequenceInsert(e, x) i = Constant <value_int = 0> () y = SequenceAt(q, i) }",
    ],
)
def test_sequences_are_sequences_of_float64(text: str) -> None:
    wide = widened(graph(f"(float[n, 4] x) => (float[n, 4] y) {text}"))
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(run(wide, {"x": x})["y"], x)


def test_operators_that_onnxruntime_has_in_float32_only_are_rounded_alone() -> None:
    model = graph("(float[n, 4] x) => (float[n, 4] y) { a = Erf(x) y = Add(a, x) }")
    x = np.array([[1e6 / 3, 0.1, -0.7, 2.0]])
    found = run(widened(model), {"x": x})["y"]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.vectorize(math.erf)(x) + x, rtol=0, atol=3e-7)


def test_functions_are_inlined() -> None:
    before = graph(LAYER)
    model = optimize(before.clone()).model
    assert model.functions
    wide = widened(model)
    assert not wide.functions
    feed = {name: array.astype(np.float64) for name, array in random_feed(before).items()}
    expected = run_in_float64(before, random_feed(before))["hidden"]
    # Up to the rounding of the folded weights.
    np.testing.assert_allclose(run(wide, feed)["hidden"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("attribute", ["", ", stash_type = 1"])
def test_a_layer_norm_computes_in_float64(attribute: str) -> None:
    text = f"{{ y = LayerNormalization <epsilon = 0.5{attribute}> (x, g, b) }}"
    wide = widened(graph(f"(float[n, 4] x) => (float[n, 4] y) <float[4] g, float[4] b> {text}"))
    x = np.random.default_rng(0).normal(size=(3, 4))
    normal = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 0.5)
    expected = normal * constant(wide, "g") + constant(wide, "b")
    np.testing.assert_allclose(run(wide, {"x": x})["y"], expected, rtol=1e-12, atol=1e-12)


def test_float16_is_left_as_it_is() -> None:
    model = graph("(float16[n] x) => (float16[n] y, float[n] z) { y = Neg(x) z = Cast <to = 1> (y) }")
    wide = widened(model)
    found = run(wide, {"x": np.array([0.1], np.float16)})
    assert (found["y"].dtype, found["z"].dtype) == (np.float16, np.float64)


def test_names_and_shapes_stay() -> None:
    model = graph(LAYER)
    wide = widened(model)
    for before, after in zip(
        (*model.graph.inputs, *model.graph.outputs), (*wide.graph.inputs, *wide.graph.outputs), strict=True
    ):
        assert (before.name, before.shape) == (after.name, after.shape)
    assert list(model.graph.initializers) == list(wide.graph.initializers)
