"""Weights that 8 bits hold, and biases that make up for the rounding."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Text, constant, graph, leaves_alone, run
from text_models import bert, text_feed

from graphs.model.shape_inference import infer_sizes
from graphs.passes.lower.round_weights import RoundWeights
from graphs.pipeline import optimize
from graphs.precision.calibration import calibrate
from graphs.precision.channel_groups import ChannelGroups, scaled_linear
from graphs.precision.int8 import quantized

LAYER = Text(
    "(float[n, 40] x) => (float[n, 33] y) <float[40, 33] W, float[33] b> { a = Identity(x) y = Gemm(a, W, b) }"
)
# Two products that are added to a stream, and one that reads it.
STREAM = Text("""(float[n, 40] x) => (float[n, 33] y)
    <float[40, 40] U, float[40, 40] V, float[40, 33] W, float[33] b>
    { a = Identity(x) s = Gemm(a, U, a) t = MatMul(s, V) v = Add(s, t) y = Gemm(v, W, b) }""")


def texts(shift: float = 30.0) -> np.ndarray:
    """Rows that vary little around their means."""
    generator = np.random.default_rng(0)
    means = generator.normal(size=40) * shift
    return (means + generator.normal(size=(200, 40))).astype(np.float32)


def round_weights(model: ir.Model, x: np.ndarray, wanted: str = "UVW") -> RoundWeights:
    ranges = calibrate(model, [{"x": x}], ChannelGroups(model.graph))
    return RoundWeights(ranges, lambda linear: str(linear.weight.name)[0] in wanted)


def shift_and_rest(before: ir.Model, after: ir.Model, x: np.ndarray) -> tuple[float, float]:
    """The mean difference of outputs, and what varies in it."""
    far = run(after, {"x": x})["y"].astype(np.float64) - run(before, {"x": x})["y"]
    return float(np.abs(far.mean(axis=0)).max()), float(far.std(axis=0).max())


@pytest.mark.parametrize("text", [LAYER, STREAM])
def test_there_is_no_shift(text: Text) -> None:
    before, x = graph(text), texts()
    after = before.clone()
    step = round_weights(before, x)
    step(after)
    assert step.matches
    shift, rest = shift_and_rest(before, after, x)
    assert shift < 0.05 * rest
    # With the biases that were there, nearly all is a shift.
    for node in after.graph:
        if node.op_type == "Gemm" and str(node.inputs[2].name).startswith("b"):  # type: ignore[union-attr]
            bias = ir.tensor(constant(before, "b").astype(np.float32), name=node.inputs[2].name)  # type: ignore[union-attr]
            node.inputs[2].const_value = bias  # type: ignore[union-attr]
    shift, rest = shift_and_rest(before, after, x)
    assert shift > 5 * rest


def test_weights_are_those_that_8_bits_hold() -> None:
    before = graph(LAYER)
    after = before.clone()
    round_weights(before, texts())(after)
    numbers, scales = quantized(constant(before, "W"), axis=0)
    np.testing.assert_allclose(constant(after, "W.rounded"), numbers * scales, rtol=1e-6)
    again, _ = quantized(constant(after, "W.rounded"), axis=0)
    np.testing.assert_array_equal(again, numbers)


def test_a_product_that_stays_float_takes_off_what_comes_to_it() -> None:
    before, x = graph(STREAM), texts()
    after = before.clone()
    round_weights(before, x, wanted="UV")(after)
    assert "W" in after.graph.initializers
    shift, rest = shift_and_rest(before, after, x)
    assert shift < 0.05 * rest


@pytest.mark.parametrize(
    "then",
    [
        "v = Identity(s) c = Mul(v, g) y = Add(c, b)",
        "v = Reshape(s, shape) c = Reshape(v, flat) y = Gemm(c, W, b)",
        "v, c = Split <axis = -1> (s, sizes) d = MatMul(v, P) e = MatMul(c, P) f = Add(d, e) y = Add(f, b)",
    ],
)
def test_shifts_go_through_views_and_factors(then: str) -> None:
    x = texts()
    text = f"""(float[n, 40] x) => (float[n, 40] y)
        <float[40, 40] U, float[40, 40] W, float[20, 40] P, float[40] g, float[40] b, int64[3] shape = {{-1, 4, 10}},
         int64[2] flat = {{-1, 40}}, int64[2] sizes = {{20, 20}}>
        {{ a = Identity(x) s = MatMul(a, U) {then} }}"""
    before = graph(text)
    after = before.clone()
    round_weights(before, x, wanted="U")(after)
    shift, rest = shift_and_rest(before, after, x)
    assert shift < 0.05 * rest


def test_what_is_not_understood_leaves_the_shift() -> None:
    text = STREAM.replace("v = Add(s, t)", "v = Softmax(t)")
    before, x = graph(text), texts()
    after = before.clone()
    round_weights(before, x)(after)
    assert np.isfinite(run(after, {"x": x})["y"]).all()


def test_a_table_that_is_looked_up_too_is_not_rounded_and_its_shift_is_taken_off() -> None:
    text = """(float[n, 40] x, int64[m] ids) => (float[n, 50] y, float[m, 40] z)
        <float[50, 40] T, float[50] b> { a = Identity(x) y = Gemm <transB = 1> (a, T, b) z = Gather(T, ids) }"""
    before, x = graph(text), texts()
    after = before.clone()
    ranges = calibrate(before, [{"x": x, "ids": np.arange(3)}], ChannelGroups(before.graph))
    RoundWeights(ranges, lambda _: True)(after)
    assert "T" in after.graph.initializers
    numbers, scales = quantized(constant(before, "T"), axis=1)
    error = (numbers * scales[:, None].astype(np.float64) - constant(before, "T")) @ x.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(constant(after, "b.shifted"), constant(before, "b") - error, rtol=1e-4, atol=1e-4)


def test_products_that_stay_float_are_not_modified() -> None:
    leaves_alone(round_weights(graph(STREAM), texts(), wanted=""), graph(STREAM))


def test_padding_has_no_part_in_the_means() -> None:
    model = bert(hidden=40, inner=32, wide=32)
    feed = text_feed()
    prepared = optimize(model, functions=False, compare=False).model
    linear = next(found for node in prepared.graph if (found := scaled_linear(node)))
    padded = {"input_ids": np.where(feed["attention_mask"] == 1, feed["input_ids"], 7)}
    padded["attention_mask"] = feed["attention_mask"]
    other = padded | {"input_ids": np.where(feed["attention_mask"] == 1, feed["input_ids"], 9)}
    means = []
    for one in (padded, other):
        infer_sizes(prepared)
        means.append(calibrate(prepared, [one], ChannelGroups(prepared.graph))[str(linear.x.name)].mean)
    np.testing.assert_array_equal(means[0], means[1])
