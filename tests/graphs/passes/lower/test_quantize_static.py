"""Products whose steps are known beforehand."""

from __future__ import annotations

from pathlib import Path

import graph_helpers
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from graph_helpers import Text, constant, graph, leaves_alone, random_feed, run

from graphs.ir.linear import Linear
from graphs.passes.lower.quantize_static import LARGEST_BIAS, MICROSOFT, QuantizeStatic
from graphs.precision.calibration import calibrate
from graphs.precision.channel_groups import ChannelGroups
from graphs.precision.int8 import Interval, quantized

LAYER = Text(
    "(float[n, 40] x) => (float[n, 33] y) <float[40, 33] W, float[33] b> { a = Identity(x) y = Gemm(a, W, b) }"
)
NETWORK = Text("""(float[n, 40] x) => (float[n, 34] y)
    <float[40, 33] W, float[33] b, float[33, 34] V, float[34] c>
    { a = Identity(x) h = Gemm(a, W, b) r = Relu(h) y = Gemm(r, V, c) }""")


def intervals(model: ir.Model, feed: dict[str, np.ndarray]) -> dict[int, dict[str, Interval]]:
    ranges = calibrate(model, [feed], ChannelGroups(model.graph))
    found = {name: Interval(float(r.low.min()), float(r.high.max())) for name, r in ranges.items()}
    return {8: found, 16: found}


def static(model: ir.Model, bits: int | None = 8, *, weights: bool = True) -> QuantizeStatic:
    return QuantizeStatic(intervals(model, random_feed(model)), lambda _: bits, weights=weights)


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def rounded(x: np.ndarray, interval: Interval, bits: int) -> np.ndarray:
    step, zero = interval.step(bits), interval.zero(bits)
    whole: np.ndarray = np.clip(np.round(x / np.float32(step)) + zero, 0, 2**bits - 1) - zero
    return whole * step


@pytest.mark.parametrize("bits", [8, 16])
def test_a_product_stands_between_quantizers(bits: int) -> None:
    before = graph(LAYER)
    feed = random_feed(before)
    ends = intervals(before, feed)[bits]
    domain = f"{MICROSOFT}." if bits == 16 else ""
    after = graph_helpers.becomes(
        static(before, bits),
        before,
        f"""a = Identity(x)
        aq = {domain}QuantizeLinear(a, a_step, a_zero) ar = {domain}DequantizeLinear(aq, a_step, a_zero)
        w = DequantizeLinear <axis = 1> (W_int8, W_int8_scale, zero_points_33)
        c = DequantizeLinear <axis = 0> (W_bias, W_bias_scale)
        p = Gemm(ar, w, c)
        q = {domain}QuantizeLinear(p, y_step, y_zero) y = {domain}DequantizeLinear(q, y_step, y_zero)""",
        exact=False,
    )
    numbers, scales = quantized(constant(before, "W"), axis=0)
    np.testing.assert_array_equal(constant(after, "W.int8"), numbers)
    steps = ends["a"].step(bits) * scales.astype(np.float64)
    bias = constant(after, "W.bias")
    assert after.graph.initializers["W.bias"].dtype == ir.DataType.INT32
    np.testing.assert_allclose(bias * steps, constant(before, "b"), atol=steps.max())
    by_hand = rounded(feed["x"], ends["a"], bits) @ (numbers * scales.astype(np.float64)) + bias * steps
    np.testing.assert_allclose(
        run(after, feed)["y"], rounded(by_hand, ends["y"], bits), atol=1.01 * ends["y"].step(bits)
    )


def test_onnxruntime_computes_each_product_in_whole_numbers(tmp_path: Path) -> None:
    model = graph(NETWORK)
    static(model)(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    data = ir.to_proto(model).SerializeToString()
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    found = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
    assert found.count("QGemm") == 2
    assert "Gemm" not in found


def test_16_bits_are_onnx_own_from_opset_21_on() -> None:
    for opset, domains in ((18, {"", MICROSOFT}), (21, {""})):
        model = graph(LAYER)
        model.opset_imports[""] = opset
        static(model, 16)(model)
        assert {node.domain for node in model.graph} == domains
        assert (MICROSOFT in model.opset_imports) == (opset == 18)
        onnx.checker.check_model(ir.to_proto(model))


def test_relu_is_what_the_quantizer_does() -> None:
    before = graph(NETWORK)
    feed = random_feed(before)
    after = before.clone()
    static(before)(after)
    assert "Relu" not in kinds(after)
    assert kinds(after).count("QuantizeLinear") == 3  # the second product reads what the first has given
    far = run(after, feed)["y"] - run(before, feed)["y"]
    assert np.abs(far).max() < 0.05 * np.abs(run(before, feed)["y"]).max()
    # Without Relu it would be far off.
    assert (run(graph(NETWORK.replace("Relu(h)", "Identity(h)")), feed)["y"] != run(before, feed)["y"]).any()


def test_a_relu_with_another_reader_of_its_input_stays() -> None:
    text = NETWORK.replace("(float[n, 34] y)", "(float[n, 34] y, float[n, 33] z)").replace(
        "y = Gemm(r", "z = Neg(h) y = Gemm(r"
    )
    after = graph(text)
    static(graph(text))(after)
    assert kinds(after).count("Relu") == 1


def test_readers_share_a_quantizer_and_other_bits_have_their_own() -> None:
    text = """(float[n, 40] x) => (float[n, 33] y, float[n, 34] z) <float[40, 33] W, float[40, 34] V>
        { a = Identity(x) y = MatMul(a, W) z = MatMul(a, V) }"""
    for wide, count in ((8, 3), (16, 4)):
        model = graph(text)
        bits = {"V": wide, "W": 8}
        QuantizeStatic(intervals(model, random_feed(model)), lambda p, bits=bits: bits[str(p.weight.name)])(model)  # type: ignore[misc]
        assert kinds(model).count("QuantizeLinear") == count


def test_a_layer_with_more_bits_reads_one_with_fewer() -> None:
    before = graph(NETWORK)
    after = before.clone()
    QuantizeStatic(intervals(before, random_feed(before)), lambda p: 16 if p.weight.name == "V" else 8)(after)
    feed = random_feed(before)
    assert kinds(after).count("QuantizeLinear") == 4
    far = run(after, feed)["y"] - run(before, feed)["y"]
    assert np.abs(far).max() < 0.05 * np.abs(run(before, feed)["y"]).max()


def test_products_of_matrices_are_written_as_gemm() -> None:
    """Of MatMul with 16 bits, onnxruntime makes one that rounds its input to 8."""
    for shape, kind in (("n, 40", "Gemm"), ("b, n, 40", "MatMul")):
        model = graph(
            f"(float[{shape}] x) => (float[{shape.replace('40', '33')}] y) <float[40, 33] W> {{ y = MatMul(x, W) }}"
        )
        ends = {"x": Interval(-1, 1), "y": Interval(-9, 9)}
        model.graph.inputs[0].name = "x"
        step = QuantizeStatic({16: ends}, lambda _: 16)
        node = next(iter(model.graph))
        model.graph.insert_before(node, ir.node("Identity", [model.graph.inputs[0]], name="i"))
        identity = next(iter(model.graph)).outputs[0]
        identity.name, identity.shape, identity.type = "a", node.inputs[0].shape, node.inputs[0].type  # type: ignore[union-attr]
        node.replace_input_with(0, identity)
        ends["a"] = ends["x"]
        step(model)
        assert kind in kinds(model)


def test_a_bias_far_over_its_weights() -> None:
    weight = constant(graph(LAYER), "W").copy()
    weight[:, 0] *= 1e-12
    before = graph(LAYER, W=weight)
    after = before.clone()
    static(before)(after)
    assert np.abs(constant(after, "W.bias")).max() <= LARGEST_BIAS
    feed = random_feed(before)
    far = np.abs(run(after, feed)["y"] - run(before, feed)["y"])
    assert far[:, 0].max() < 0.05 * np.abs(run(before, feed)["y"]).max()


def test_only_activations() -> None:
    before = graph(NETWORK)
    after = before.clone()
    static(before, weights=False)(after)
    assert set(before.graph.initializers) <= set(after.graph.initializers)
    whole = before.clone()
    static(before)(whole)
    feed = random_feed(before)
    first, second = run(after, feed)["y"], run(whole, feed)["y"]
    assert np.abs(first - second).max() < 0.05 * np.abs(first).max()


def test_what_stays_float() -> None:
    leaves_alone(static(graph(NETWORK), None), graph(NETWORK))
    unmeasured = QuantizeStatic({8: {}}, lambda _: 8)
    leaves_alone(unmeasured, graph(NETWORK))
    assert "not measured" in unmeasured.misses[0].reason
    residual = graph(
        "(float[n, 40] x, float[n, 33] r) => (float[n, 33] y) <float[40, 33] W> { a = Identity(x) y = Gemm(a, W, r) }"
    )
    step = static(residual)
    leaves_alone(step, residual)
    assert "residual" in step.misses[0].reason


def test_a_product_is_asked_for_by_its_layer() -> None:
    asked: list[str | None] = []

    def bits(linear: Linear) -> int:
        asked.append(linear.weight.name)
        return 8

    model = graph(NETWORK)
    QuantizeStatic(intervals(model, random_feed(model)), bits)(model)
    assert asked == ["W", "V"]
