"""Products with 8-bit weights."""

from __future__ import annotations

import graph_helpers
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, Text, constant, graph, leaves_alone, random_feed, run
from graph_texts import BLOCK
from text_models import bert, text_feed

from graphs.ir.linear import Linear
from graphs.passes.fuse.fuse_ffn import FuseFFN
from graphs.passes.lower.quantize_dynamic import QuantizeDynamic
from graphs.pipeline import optimize
from graphs.precision.int8 import quantized

PRODUCT = """quantized{0}, step{0}, zero{0} = DynamicQuantizeLinear({1})
    integer{0} = MatMulInteger(quantized{0}, {2}_int8, zero{0}) whole{0} = Cast <to = 1> (integer{0})
    steps{0} = Mul(step{0}, {2}_scale) {3} = Mul(whole{0}, steps{0}) """


def wants_all(_: Linear) -> bool:
    return True


def becomes(before: ir.Model, body: str, step: QuantizeDynamic | None = None) -> ir.Model:
    """Asserts that the pass makes this of a graph; what it computes is another matter."""
    return graph_helpers.becomes(step or QuantizeDynamic(wants_all), before, body, exact=False)


def by_hand(x: np.ndarray, numbers: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """DynamicQuantizeLinear, and the product."""
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    step = np.float32((np.float32(high) - np.float32(low)) / np.float32(255))
    zero = np.clip(np.round(-np.float32(low) / step), 0, 255)
    rounded = np.clip(np.round(x.astype(np.float32) / step) + zero, 0, 255) - zero
    product: np.ndarray = (rounded @ numbers) * (np.float64(step) * scales)
    return product


LAYER = Text("(float[n, 40] x) => (float[n, 33] y) <float[40, 33] W, float[33] b> { y = MatMul(x, W) }")


def test_a_product_is_computed_in_8_bits() -> None:
    before = graph(LAYER, W=constant(graph(LAYER), "W") * 10.0 ** np.linspace(-5, 5, 33))
    after = becomes(before, PRODUCT.format("", "x", "W", "y"))
    assert set(after.graph.initializers) == {"W.int8", "W.scale"}
    assert after.graph.initializers["W.int8"].dtype == ir.DataType.INT8
    numbers, scales = quantized(constant(before, "W"), axis=0)  # a scale for each column
    np.testing.assert_array_equal(constant(after, "W.int8"), numbers)
    np.testing.assert_array_equal(constant(after, "W.scale"), scales)
    feed = random_feed(before)
    np.testing.assert_allclose(run(after, feed)["y"], by_hand(feed["x"], numbers, scales), rtol=1e-5)


def test_the_error_is_within_half_a_step_of_weights_and_activations() -> None:
    before = graph(LAYER)
    after = before.clone()
    QuantizeDynamic(wants_all)(after)
    feed = random_feed(before)
    x, weight = feed["x"].astype(np.float64), constant(before, "W")
    step, scales = (x.max() - x.min()) / 255, np.abs(weight).max(axis=0) / 127
    # The zero point is rounded, too, which is another half a step at the ends.
    bound = step * np.abs(weight).sum(axis=0) + np.abs(x).sum(axis=1, keepdims=True) * scales / 2
    apart = np.abs(run(after, feed)["y"] - x @ weight)
    assert (apart <= bound + step * scales * 40).all()
    assert apart.max() > 0


@pytest.mark.parametrize(
    ("layer", "result"),
    [
        ("Gemm(x, W)", ""),
        ("Gemm(x, W, b)", "y = Add(product, b)"),
        ("Gemm <transB = 1> (x, W, b)", "y = Add(product, b)"),
        ("Gemm(x, W, residual)", "y = Add(product, residual)"),
        ("Gemm <transB = 1> (x, W, residual)", "y = Add(product, residual)"),
    ],
)
def test_layers_of_all_forms_are_computed_in_8_bits(layer: str, result: str) -> None:
    text = LAYER.replace("MatMul(x, W)", layer).replace("(float[n, 40] x)", "(float[n, 40] x, float[n, 33] residual)")
    if "transB" in layer:
        text = text.replace("float[40, 33] W", "float[33, 40] W")
    before = graph(text)
    after = becomes(before, PRODUCT.format("", "x", "W", "product" if result else "y") + result)
    weight = constant(before, "W").T if "transB" in layer else constant(before, "W")
    np.testing.assert_array_equal(constant(after, "W.int8"), quantized(weight, axis=0)[0])  # [in, out]
    feed = random_feed(before)
    given, found = run(before, feed)["y"], run(after, feed)["y"]
    assert np.linalg.norm(found - given) < 0.03 * np.linalg.norm(given)


def test_texts_of_three_dimensions_are_computed_in_8_bits() -> None:
    becomes(graph(LAYER.replace("float[n, ", "float[b, s, ")), PRODUCT.format("", "x", "W", "y"))


def test_only_wanted_products_are() -> None:
    text = """(float[n, 4] x) => (float[n, 3] y) <float[4, 5] V, float[5, 3] W> { h = MatMul(x, V) y = MatMul(h, W) }"""
    step = QuantizeDynamic(lambda linear: linear.weight.name == "W")
    becomes(graph(text), "h = MatMul(x, V)" + PRODUCT.format("", "h", "W", "y"), step)
    leaves_alone(QuantizeDynamic(lambda linear: False), graph(text))


@pytest.mark.parametrize(
    "text",
    [
        "(float[n, 4] x, float[4, 3] w) => (float[n, 3] y) { y = MatMul(x, w) }",
        "(float[4, n] x) => (float[3, n] y) <float[3, 4] W> { y = MatMul(W, x) }",
        "(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W> { y = Gemm <alpha = 2.0> (x, W) }",
        "(float[b, s, 4] x) => (float[b, s, 3] y) <float[2, 4, 3] W> { y = MatMul(x, W) }",
        "(int32[n, 4] x) => (int32[n, 3] y) <int32[4, 3] W> { y = MatMul(x, W) }",
    ],
)
def test_other_products_are_not_modified(text: str) -> None:
    leaves_alone(QuantizeDynamic(wants_all), graph(text.replace("float[b, s, ", "float[2, s, ")))


def test_a_weight_that_another_node_reads_stays_as_it_is_for_that_one() -> None:
    text = LAYER.replace("(float[n, 33] y)", "(float[n, 33] y, float[40, 33] z)").replace("y =", "z = Relu(W) y =")
    after = becomes(graph(text), "z = Relu(W)" + PRODUCT.format("", "x", "W", "y"))
    assert "W" in after.graph.initializers


def test_an_output_keeps_its_name_and_other_readers() -> None:
    text = LAYER.replace("(float[n, 33] y)", "(float[n, 33] y, float[n, 33] z)").replace(
        "MatMul(x, W)", "MatMul(x, W) z = Relu(y)"
    )
    becomes(graph(text), PRODUCT.format("", "x", "W", "y") + "z = Relu(y)")


# Fused operators


def fused() -> ir.Model:
    model = graph(BLOCK)
    FuseFFN()(model)
    return model


def test_fused_networks_become_those_of_8_bits() -> None:
    weights = ", ".join(f"V{i}_int8, V{i}_scale, a{i}, W{i}_int8, W{i}_scale" for i in (1, 2))
    before = fused()
    after = becomes(before, f"y = mbert.StackedFFNInt8(u, outer, {weights}, Wo_int8, Wo_scale)")
    assert [identifier[:2] for identifier in after.functions] == [("mbert", "StackedFFNInt8")]
    for name in ("V1", "W1", "V2", "W2", "Wo"):
        numbers, scales = quantized(constant(before, name), axis=0)
        np.testing.assert_array_equal(constant(after, f"{name}.int8"), numbers)
        np.testing.assert_array_equal(constant(after, f"{name}.scale"), scales)
    assert not {"V1", "W1", "V2", "W2", "Wo"} & set(after.graph.initializers)
    feed = random_feed(before)
    given, found = run(before, feed)["y"], run(after, feed)["y"]
    assert 0 < np.linalg.norm(found - given) < 0.05 * np.linalg.norm(given)


def test_fused_operators_of_layers_to_keep_stay() -> None:
    model = fused()
    (node,) = model.graph
    node.name = "layer.4/StackedFFN_0"
    leaves_alone(QuantizeDynamic(wants_all, keep=["layer.4"]), model)
    assert QuantizeDynamic(wants_all, keep=["layer.40"])(model).modified


def test_both_kinds_of_a_function_may_be_needed() -> None:
    model = optimize(bert(), skip=["fuse-encoder"]).model
    names = [node.name or "" for node in model.graph if node.op_type == "StackedFFN"]
    for node in model.graph:
        if node.op_type == "StackedFFN":
            node.name = f"layer.{names.index(node.name or '')}/StackedFFN_0"
    QuantizeDynamic(lambda linear: False, keep=["layer.1"])(model)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert {name for _, name, _ in model.functions} >= {"StackedFFN", "StackedFFNInt8"}
    assert np.isfinite(run(model, text_feed())["hidden"]).all()


def test_fused_attention_becomes_that_of_8_bits() -> None:
    before = optimize(bert(hidden=64, inner=32, wide=48), skip=["fuse-encoder"]).model
    after = before.clone()
    assert QuantizeDynamic(lambda linear: False)(after).modified
    onnx.checker.check_model(ir.to_proto(after), full_check=True)
    assert [node.op_type for node in after.graph if node.domain == "mbert"] == [
        "BottleneckAttentionInt8",
        "StackedFFNInt8",
    ] * 2
    (function,) = [f for f in after.functions.values() if f.name == "BottleneckAttentionInt8"]
    (node, _) = [node for node in after.graph if node.op_type == "BottleneckAttentionInt8"]
    (old, _) = [node for node in before.graph if node.op_type == "BottleneckAttention"]
    given = dict(zip([v.name for v in function.inputs], node.inputs, strict=True))
    (known,) = [f for f in before.functions.values() if f.name == "BottleneckAttention"]
    floats = dict(zip([v.name for v in known.inputs], old.inputs, strict=True))
    for name, value in floats.items():
        new = given[name]
        assert value is not None
        assert new is not None
        if name not in ("weight_in", "weight_qk", "weight_out"):
            assert new.name == value.name
            continue
        assert value.const_value is not None
        assert new.const_value is not None
        scale = given[str(name).replace("weight", "scale")]
        assert scale is not None
        assert scale.const_value is not None
        numbers, scales = quantized(value.const_value.numpy().astype(np.float64), axis=0)
        np.testing.assert_array_equal(new.const_value.numpy(), numbers)
        np.testing.assert_array_equal(scale.const_value.numpy(), scales)
    feed: Arrays = text_feed()
    expected, found = run(before, feed)["hidden"], run(after, feed)["hidden"]
    assert 0 < np.linalg.norm((found - expected)[0]) < 0.1 * np.linalg.norm(expected[0])
