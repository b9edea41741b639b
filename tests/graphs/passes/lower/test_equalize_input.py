"""A product's input, scaled where no unit of its stream would do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, Text, becomes, constant, graph, leaves_alone, run

from graphs.ir.linear import Linear
from graphs.passes.lower.equalize_input import FEW_READERS, EqualizeInput
from graphs.precision.calibration import calibrate
from graphs.precision.channel_groups import ChannelGroups, scaled_linear
from graphs.precision.channel_scales import wished_units

INPUTS, OUTPUTS = 20, 12
# Channels from 1e-2 to 1e2, of which each matters as much as the others.
SIZES = 10.0 ** np.linspace(-2, 2, INPUTS)
TEXT = Text(f"""(float[n, {INPUTS}] x) => (float[n, {OUTPUTS}] y)
    <float[{INPUTS}] sizes, float[{INPUTS}, {OUTPUTS}] W, float[{OUTPUTS}] b>
    {{ r = Tanh(x) p = Mul(r, sizes) y = MatMul(p, W) }}""")
BEFORE = "r = Tanh(x) p = Mul(r, sizes)"


def wants_all(_: Linear) -> bool:
    return True


class Equalize(ir.passes.InPlacePass):
    """The pass, with what was measured on a graph that it is handed."""

    def __init__(self, feed: Arrays, wanted: Callable[[Linear], bool] = wants_all) -> None:
        super().__init__()
        self._feed, self._wanted = feed, wanted

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        channels = ChannelGroups(model.graph)
        step = EqualizeInput(calibrate(model, [self._feed], channels), channels, self._wanted)
        modified = step(model).modified
        assert modified == (step.matches > 0)
        return ir.passes.PassResult(model, modified=modified)


FEED = {"x": np.random.default_rng(0).normal(size=(60, INPUTS)).astype(np.float32)}


def uneven(text: str = TEXT) -> ir.Model:
    """A graph whose product reads channels of all sizes, as plain numbers."""
    weight = constant(graph(text), "W") / (SIZES[:, None] if "transB" not in text else SIZES)
    return graph(text, W=weight, sizes=SIZES)


def test_an_input_of_uneven_channels_is_scaled() -> None:
    before = uneven()
    after = becomes(Equalize(FEED), before, f"{BEFORE} u = Mul(p, W_unit) y = MatMul(u, W_equalized)", FEED)
    units = 1.0 / constant(after, "W.unit")
    assert (np.frexp(units)[0] == 0.5).all()
    assert units.max() / units.min() >= 2**4
    np.testing.assert_array_equal(constant(after, "W.equalized"), constant(before, "W") * units[:, None])


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("Gemm(p, W)", "Gemm(u, W_equalized)"),
        ("Gemm(p, W, b)", "Gemm(u, W_equalized, b)"),
        ("Gemm <transB = 1> (p, W, b)", "Gemm <transB = 1> (u, W_equalized, b)"),
        ("Gemm(p, W, residual)", "Gemm(u, W_equalized, residual)"),
    ],
)
def test_layers_of_all_forms_are_scaled(layer: str, expected: str) -> None:
    text = TEXT.replace("MatMul(p, W)", layer).replace("(float[n, 20] x)", "(float[n, 20] x, float[n, 12] residual)")
    if "transB" in layer:
        text = text.replace("float[20, 12] W", "float[12, 20] W")
    feed = {**FEED, "residual": np.random.default_rng(1).normal(size=(60, OUTPUTS)).astype(np.float32)}
    becomes(Equalize(feed), uneven(text), f"{BEFORE} u = Mul(p, W_unit) y = {expected}", feed)


def test_texts_of_three_dimensions_are_scaled() -> None:
    feed = {"x": FEED["x"].reshape(3, 20, INPUTS)}
    text = TEXT.replace("float[n, ", "float[b, s, ")
    becomes(Equalize(feed), uneven(text), f"{BEFORE} u = Mul(p, W_unit) y = MatMul(u, W_equalized)", feed)


def test_no_digit_changes() -> None:
    before = uneven()
    after = before.clone()
    assert Equalize(FEED)(after).modified
    np.testing.assert_array_equal(run(after, FEED)["y"], run(before, FEED)["y"])


def test_a_weight_that_another_product_reads_stays_as_it_is_for_that_one() -> None:
    text = TEXT.replace("(float[n, 12] y)", "(float[n, 12] y, float[n, 12] z)").replace("y =", "z = MatMul(r, W) y =")
    body = f"{BEFORE} z = MatMul(r, W) u = Mul(p, W_unit) y = MatMul(u, W_equalized)"
    becomes(Equalize(FEED, wanted=lambda linear: linear.x.name in ("p", "u")), uneven(text), body, FEED)


def test_even_channels_are_not_modified() -> None:
    leaves_alone(Equalize(FEED), graph(TEXT, sizes=np.ones(INPUTS)))


def test_products_that_stay_float_are_not_modified() -> None:
    leaves_alone(Equalize(FEED, wanted=lambda linear: linear.weight.name != "W"), uneven())


def test_inputs_of_the_graph_are_not_modified() -> None:
    weight = constant(graph(TEXT), "W") / SIZES[:, None]
    model = graph("(float[n, 20] x) => (float[n, 12] y) <float[20, 12] W> { y = MatMul(x, W) }", W=weight)
    leaves_alone(Equalize({"x": FEED["x"] * SIZES.astype(np.float32)}), model)


@pytest.mark.parametrize("size", [0.0, np.nan])
def test_an_input_that_is_0_or_no_number_is_not_modified(size: float) -> None:
    leaves_alone(Equalize({"x": FEED["x"] * np.float32(size)}), uneven())


def test_a_weight_of_0_is_not_modified() -> None:
    leaves_alone(Equalize(FEED), graph(TEXT, sizes=SIZES, W=np.zeros((INPUTS, OUTPUTS))))


def test_a_product_over_the_channels_of_one_head_is_not_modified() -> None:
    model = graph(
        """(float[b, s, 8] x) => (float[b, s, 2, 3] y) <float[8, 8] V, float[4, 3] W, int64[4] heads = {0, 0, 2, 4}>
        { h = MatMul(x, V) r = Reshape(h, heads) y = MatMul(r, W) }""",
        V=np.eye(8) * 10.0 ** np.arange(-4, 4),
    )
    leaves_alone(Equalize({"x": FEED["x"].reshape(1, -1, 8)}), model)


def reading(readers: int) -> ir.Model:
    """A stream that this many products read, with units that suit none of them."""
    outputs = ", ".join(f"float[n, {OUTPUTS}] y{i}" for i in range(readers))
    weights = ", ".join(f"float[{INPUTS}, {OUTPUTS}] W{i}" for i in range(readers))
    nodes = " ".join(f"y{i} = MatMul(g, W{i})" for i in range(readers))
    rng = np.random.default_rng(0)
    arrays = {f"W{i}": rng.normal(size=(INPUTS, OUTPUTS)) / SIZES[:, None] for i in range(readers)}
    text = (
        f"(float[n, {INPUTS}] x) => ({outputs}) <float[{INPUTS}, {INPUTS}] V, {weights}> {{ g = MatMul(x, V) {nodes} }}"
    )
    return graph(text, V=np.diag(SIZES), **arrays)


def test_a_stream_of_few_readers_has_units_that_fit() -> None:
    leaves_alone(Equalize(FEED), reading(FEW_READERS))


def test_a_stream_of_many_readers_is_scaled_for_each() -> None:
    readers = FEW_READERS + 1
    products = " ".join(f"u{i} = Mul(g, W{i}_unit) y{i} = MatMul(u{i}, W{i}_equalized)" for i in range(readers))
    becomes(Equalize(FEED), reading(readers), f"g = MatMul(x, V) {products}", FEED, again=False)


def test_readers_that_stay_float_do_not_count() -> None:
    chosen = {f"W{i}" for i in range(FEW_READERS)}
    leaves_alone(Equalize(FEED, wanted=lambda linear: linear.weight.name in chosen), reading(FEW_READERS + 1))


def test_the_units_are_those_that_the_product_wishes() -> None:
    before = uneven()
    ranges = calibrate(before, [FEED], ChannelGroups(before.graph))
    (linear,) = [linear for node in before.graph if (linear := scaled_linear(node))]
    after = before.clone()
    Equalize(FEED)(after)
    np.testing.assert_array_equal(1.0 / constant(after, "W.unit"), wished_units(linear, ranges["p"]))
