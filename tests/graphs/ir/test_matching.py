"""Matching of blocks: the node and the reason of a mismatch."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import constant, graph

from graphs.ir.linear import as_linear
from graphs.ir.matching import MismatchError, is_of_one_token, only_reader, plain_weight, producer_of, residual_gemm


def named(text: str, **values: np.ndarray) -> tuple[ir.Model, dict[str, ir.Node]]:
    """A model, and its nodes by what they compute."""
    model = graph(text, **values)
    for node in model.graph:
        node.name = f"the {node.outputs[0].name}"
    return model, {node.outputs[0].name or "": node for node in model.graph}


def blamed(mismatch: pytest.ExceptionInfo[MismatchError]) -> tuple[str | None, str]:
    return mismatch.value.node.name, mismatch.value.reason


CHAIN = "(float[n, 4] x) => (float[n, 4] y) <float[4] b> { a = Relu(x) s = Add(a, b) y = Neg(s) }"


def test_the_node_that_computes_a_value() -> None:
    _, nodes = named(CHAIN)
    assert producer_of(nodes["y"].inputs[0], "Add", nodes["y"]) is nodes["s"]
    assert producer_of(nodes["s"].inputs[0], ("Neg", "Relu"), nodes["s"]) is nodes["a"]


@pytest.mark.parametrize(
    ("reader", "index", "reason"),
    [
        ("y", 0, "it reads Add (the s); expected Sub or Mul"),
        ("s", 1, "it reads an input or constant; expected Sub or Mul"),
        ("a", 0, "it reads an input or constant; expected Sub or Mul"),
    ],
)
def test_another_producer_is_reported_at_the_reader(reader: str, index: int, reason: str) -> None:
    _, nodes = named(CHAIN)
    with pytest.raises(MismatchError) as mismatch:
        producer_of(nodes[reader].inputs[index], ("Sub", "Mul"), nodes[reader])
    assert blamed(mismatch) == (f"the {reader}", reason)


def test_the_one_reader_of_a_value() -> None:
    _, nodes = named(CHAIN)
    assert only_reader(nodes["a"].outputs[0], nodes["a"], "activations") is nodes["s"]


@pytest.mark.parametrize(
    ("body", "outputs", "reason"),
    [
        ("a = Relu(x) y = Add(a, a)", "y", "activations have 2 readers; expected one"),
        ("a = Relu(x) b = Neg(a) y = Add(a, b)", "y", "activations have 2 readers; expected one"),
        ("a = Relu(x) y = Neg(a)", "y, float[n] a", "activations are an output of the graph"),
        ("a = Relu(x) y = Neg(x)", "y", "activations have 0 readers; expected one"),
    ],
)
def test_other_readers_are_reported(body: str, outputs: str, reason: str) -> None:
    _, nodes = named(f"(float[n] x) => (float[n] {outputs}) {{ {body} }}")
    with pytest.raises(MismatchError) as mismatch:
        only_reader(nodes["a"].outputs[0], nodes["a"], "activations")
    assert blamed(mismatch) == ("the a", reason)


GEMM = "(float[n, 4] x, float[n, 3] u) => (float[n, 3] y) <float[4, 3] W, float[3] b> {{ y = {} }}"


def test_a_gemm_with_a_residual() -> None:
    model, nodes = named(GEMM.format("Gemm(x, W, u)"))
    linear = residual_gemm(nodes["y"])
    assert (linear.x.name, linear.weight.name, linear.bias, linear.width) == ("x", "W", None, 3)
    assert plain_weight(model.graph, linear) is model.graph.initializers["W"]


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ("MatMul(x, W)", "expected a Gemm with the residual as its third input"),
        ("Gemm(x, W)", "expected a Gemm with the residual as its third input"),
        ("Gemm(x, W, b)", "its third input is not a residual"),
        ("Gemm <alpha = 2.0> (x, W, u)", "expected a Gemm with the residual as its third input"),
        ("Gemm <beta = 2.0> (x, W, u)", "expected a Gemm with the residual as its third input"),
    ],
)
def test_another_gemm_is_reported(operation: str, reason: str) -> None:
    _, nodes = named(GEMM.format(operation))
    with pytest.raises(MismatchError) as mismatch:
        residual_gemm(nodes["y"])
    assert blamed(mismatch) == ("the y", reason)


def test_a_gemm_whose_input_is_transposed_is_reported() -> None:
    text = "(float[4, n] x, float[n, 3] u) => (float[n, 3] y) <float[4, 3] W> { y = Gemm <transA = 1> (x, W, u) }"
    _, nodes = named(text)
    with pytest.raises(MismatchError, match="expected a Gemm"):
        residual_gemm(nodes["y"])


def test_a_product_of_streams_is_reported() -> None:
    text = "(float[n, 4] x, float[4, 3] w, float[n, 3] u) => (float[n, 3] y) { y = Gemm(x, w, u) }"
    _, nodes = named(text)
    with pytest.raises(MismatchError, match="its third input is not a residual"):
        residual_gemm(nodes["y"])


def test_a_transposed_weight_as_it_acts() -> None:
    text = "(float[n, 4] x) => (float[n, 3] y) <float[3, 4] W> { y = Gemm <transB = 1> (x, W) }"
    model, nodes = named(text)
    linear = as_linear(nodes["y"])
    assert linear is not None
    value = plain_weight(model.graph, linear)
    assert value.name == "W.transposed"
    np.testing.assert_array_equal(constant(model, "W.transposed"), constant(model, "W").T)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("g = Gather <axis = 1> (x, first) y = MatMul(g, W)", True),
        ("g = Gather <axis = 1> (x, first) s = Mul(b, g) t = Add(s, b) y = MatMul(t, W)", True),
        ("y = MatMul(x, W)", False),
        ("g = Gather <axis = 1> (x, some) y = MatMul(g, W)", False),
        ("g = Gather <axis = 0> (x, first) y = MatMul(g, W)", False),
        ("g = Gather <axis = 1> (x, first) r = Relu(g) y = MatMul(r, W)", False),
    ],
)
def test_the_input_of_a_pooler_is_of_one_token(body: str, expected: bool) -> None:
    constants = "int64 first = {0}, int64[2] some = {0, 1}, float[4, 3] W, float[4] b"
    _, nodes = named(f"(float[n, k, 4] x) => (float[] y) <{constants}> {{ {body} }}")
    linear = as_linear(nodes["y"])
    assert linear is not None
    assert is_of_one_token(linear.x) is expected
