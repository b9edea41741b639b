"""Half precision becomes float32: the same weights, and activations that are not rounded."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import graph, leaves_alone, run

from graphs.model.precision_of import precision_of
from graphs.passes.prepare.widen_half import WidenHalf

CASES = {
    "casts around": """(float[n, 4] x) => (float[n, 3] y) <float16[4, 3] w>
        { h = Cast <to = 10> (x) p = MatMul(h, w) y = Cast <to = 1> (p) }""",
    "half inside out": """(float16[n, 4] x) => (float16[n, 3] y) <float16[4, 3] w> { y = MatMul(x, w) }""",
    "an input only": """(float16[n, 4] x) => (float[n, 3] y) <float[4, 3] w>
        { h = Cast <to = 1> (x) y = MatMul(h, w) }""",
    "mixed": """(float[n, 4] x) => (float[n, 3] y) <float16[4, 3] w, float[3] b>
        { h = Cast <to = 10> (x) p = MatMul(h, w) q = Cast <to = 1> (p) y = Add(q, b) }""",
    "a stored weight": """(float[n, 4] x) => (float[n, 3] y) <float16[4, 3] w>
        { v = Cast <to = 1> (w) y = MatMul(x, v) }""",
    "a stored table": """(int64[n] x) => (float[n, 3] y) <float16[4, 3] w>
        { v = Gather(w, x) r = Cast <to = 1> (v) y = Mul(r, r) }""",
    "an input alone": """(float16[n, 4] x) => (float[n, 4] y)
        { v = Cast <to = 1> (x) y = Mul(v, v) }""",
    "a rounded activation": """(float[n, 4] x) => (float[n, 4] y)
        { z = Mul(x, x) h = Cast <to = 10> (z) v = Cast <to = 1> (h) y = Mul(v, v) }""",
    "bfloat16": """(float[n, 4] x) => (float[n, 3] y) <bfloat16[4, 3] w>
        { v = Cast <to = 1> (w) y = MatMul(x, v) }""",
    "of integers": """(int64[n, 4] x) => (float[n, 3] y) <float16[4, 3] w>
        { h = Cast <to = 10> (x) p = MatMul(h, w) y = Cast <to = 1> (p) }""",
    "a constant": """(float16[n, 4] x) => (float16[n, 4] y)
        { c = Constant <value = float16[1] {16640}> () y = Mul(x, c) }""",
    "a filling": """(float16[n, 4] x) => (float16[n, 4] y)
        { s = Shape(x) c = ConstantOfShape <value = float16[1] {16640}> (s) y = Mul(x, c) }""",
    "a branch": """(float16[n, 4] x, bool c) => (float16[n, 4] y) <float16[4] w>
        { y = If (c) <
            then_branch = g () => (float16[n, 4] a) { a = Mul(x, w) },
            else_branch = h () => (float16[n, 4] b) { f = Cast <to = 1> (x) b = Cast <to = 10> (f) }> }""",
}


def ones(value: ir.Value) -> np.ndarray:
    assert value.shape is not None
    assert value.dtype is not None
    return np.ones([dim if isinstance(dim, int) else 5 for dim in value.shape], value.dtype.numpy())


@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_it_becomes_float32_with_the_same_weights(text: str) -> None:
    model = graph(text)
    after = model.clone()
    step = WidenHalf()
    assert step(after).modified
    assert precision_of(after) == "fp32"
    onnx.checker.check_model(ir.to_proto(after), full_check=True)
    feed = {str(value.name): ones(value) for value in after.graph.inputs}
    tensors = [value.const_value for value in model.graph.initializers.values() if value.const_value is not None]
    weights = [tensor.numpy().astype(np.float32) for tensor in tensors]
    found = run(after, feed)["y"]
    assert found.dtype == np.float32
    if "MatMul" in text:
        expected = feed["x"].astype(np.float32) @ weights[0] + (weights[1] if len(weights) > 1 else 0)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    computes = "(h" in text or "float16[n" in text
    assert ("its activations are no longer rounded" in step.notes[0]) == computes
    assert ("the file's weights were in half precision: they were widened" in step.notes[0]) != computes
    leaves_alone(WidenHalf(), after)


def test_casts_between_floats_disappear() -> None:
    model = graph(CASES["mixed"])
    WidenHalf()(model)
    assert [node.op_type for node in model.graph] == ["MatMul", "Add"]
    model = graph(CASES["of integers"])
    WidenHalf()(model)
    assert [node.op_type for node in model.graph] == ["Cast", "MatMul"]
    assert [value.name for value in model.graph.outputs] == ["y"]


def test_inputs_and_outputs_that_change_are_named() -> None:
    step = WidenHalf()
    step(graph(CASES["half inside out"]))
    assert step.notes[0].endswith("; x, y are float32 now")
    step(graph(CASES["mixed"]))
    assert step.notes[0].endswith("no longer rounded")


def test_a_function_in_half_precision() -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 18, "them" : 1]> g (float[n] x) => (float[n] y) { y = them.Halved(x) } '
        '<domain: "them", opset_import: ["" : 18]> Halved (v) => (r) '
        "{ h = Cast <to = 10> (v) d = Add(h, h) r = Cast <to = 1> (d) }"
    )
    model = ir.from_proto(proto)
    WidenHalf()(model)
    assert [node.op_type for node in model.graph] == ["Add"]


def test_float32_is_left_alone() -> None:
    text = "(float[n, 4] x) => (float[n, 3] y) <float[4, 3] w> { c = Cast <to = 1> (x) y = MatMul(c, w) }"
    leaves_alone(WidenHalf(), graph(text))
