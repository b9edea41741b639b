"""Precision of a graph."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from graph_helpers import graph

from graphs.functions.stacked_ffn_int8 import stacked_ffn_int8
from graphs.model.precision_of import precision_of


@pytest.mark.parametrize(
    ("text", "precision"),
    [
        ("(float[n, 4] x) => (float[n, 4] y) { y = Relu(x) }", "fp32"),
        ("(int64[n] x) => (float[n] y) { y = Cast <to = 1> (x) }", "fp32"),
        ("(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W> { y = MatMul(x, W) }", "fp32"),
        ("(float[n, 4] x) => (float[n, 4] y) { h = Cast <to = 10> (x) r = Relu(h) y = Cast <to = 1> (r) }", "fp16"),
        ("(float16[n, 4] x) => (float16[n, 3] y) <float16[4, 3] W> { y = MatMul(x, W) }", "fp16"),
        ("(float[n] x) => (float[n] y) { q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z) }", "int8"),
        ("(uint8[n, 4] x) => (int32[n, 3] y) <uint8[4, 3] W> { y = MatMulInteger(x, W) }", "int8"),
    ],
)
def test_what_is_in_it_tells(text: str, precision: str) -> None:
    assert precision_of(graph(text)) == precision


@pytest.mark.parametrize("operator", ["MatMulNBits", "MatMulBnb4", "QEmbedLayerNormalization", "QOrderedMatMul"])
def test_operators_of_onnxruntime_count(operator: str) -> None:
    model = graph("(float[n, 4] x) => (float[n, 4] y) { y = Relu(x) }")
    (node,) = model.graph
    node.domain, node.op_type = "com.microsoft", operator
    assert precision_of(model) == "int8"


def test_what_is_in_a_function_counts() -> None:
    model = graph("(float[n, 4] x) => (float[n, 4] y) { y = Relu(x) }")
    function = stacked_ffn_int8(1, 18)
    model.functions[function.identifier()] = function
    assert precision_of(model) == "int8"


def test_operators_of_onnxruntime_tell_by_their_names() -> None:
    node = onnx.helper.make_node("DynamicQuantizeMatMul", ["x", "w", "s"], ["y"], domain="com.microsoft")
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 4]) for name in "xwsy"]
    proto = onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:3], value[3:]))
    assert precision_of(ir.from_proto(proto)) == "int8"
