"""Units that 16 or 8 bits hold."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Text, constant, graph
from graph_texts import ATTENTION

from graphs.ir.linear import Linear
from graphs.passes.lower.rescale import Rescale
from graphs.precision.calibration import Range, Ranges, calibrate
from graphs.precision.channel_groups import ChannelGroups, scaled_linear
from graphs.precision.channel_scales import (
    LARGEST_HALF_PEAK,
    LEAST_PEAK,
    is_measured,
    loss_in_8_bits,
    units_for_half,
    units_for_int8,
    wished_units,
)
from graphs.precision.int8 import quantized

INPUTS, HIDDEN, OUTPUTS = 30, 40, 35
NETWORK = Text(f"""(float[n, {INPUTS}] x) => (float[n, {OUTPUTS}] y)
    <float[{INPUTS}, {HIDDEN}] V, float[{HIDDEN}, {OUTPUTS}] W> {{ h = MatMul(x, V) r = Relu(h) y = MatMul(r, W) }}""")
# The same without Relu, which leaves tokens as different as their inputs are.
LINEAR = NETWORK.replace("Relu(h)", "Identity(h)")


def tokens(*sizes: float, count: int = 60) -> np.ndarray:
    """Random tokens of size 1, and some of other sizes."""
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], size=(count, INPUTS))
    return np.concatenate([x, *(size * x[:1] for size in sizes)]).astype(np.float32)


def linears(model: ir.Model) -> list[Linear]:
    return [linear for node in model.graph if (linear := scaled_linear(node))]


def product(weight: np.ndarray) -> Linear:
    """One that reads `x`."""
    inputs, outputs = weight.shape
    model = graph(
        f"""(float[n, 8] z) => (float[n, {outputs}] y) <float[8, {inputs}] V, float[{inputs}, {outputs}] W>
        {{ x = MatMul(z, V) y = MatMul(x, W) }}""",
        W=weight,
    )
    return linears(model)[1]


def measured(model: ir.Model, x: np.ndarray) -> tuple[ChannelGroups, Ranges]:
    channels = ChannelGroups(model.graph)
    return channels, calibrate(model, [{"x": x}], channels)


def unit_of(model: ir.Model, name: str, channels: ChannelGroups, units: np.ndarray) -> np.ndarray:
    """The units of a value; 1 where all are."""
    value = next(v for node in model.graph for v in node.outputs if v.name == name)
    found = channels.unit(value, units)
    return np.ones(1) if found is None else found.reshape(-1)


def half_units(model: ir.Model, name: str, x: np.ndarray) -> np.ndarray:
    channels, ranges = measured(model, x)
    return unit_of(model, name, channels, units_for_half(channels, ranges))


def int8_units(model: ir.Model, name: str, x: np.ndarray) -> np.ndarray:
    channels, ranges = measured(model, x)
    return unit_of(model, name, channels, units_for_int8(channels, ranges, linears(model)))


def relative(units: np.ndarray) -> np.ndarray:
    """Normalises units that may all be multiplied by one number."""
    ratios: np.ndarray = units / units[0]
    return ratios


def spread(low: float, high: float, size: int = HIDDEN) -> np.ndarray:
    """Factors for channels, far apart."""
    return 10.0 ** np.random.default_rng(1).uniform(low, high, size=size)


def uneven(text: str = NETWORK) -> ir.Model:
    """Hidden channels from 1e-3 to 1e6."""
    weight = np.random.default_rng(2).normal(size=(INPUTS, HIDDEN)) * spread(-3, 6)
    return graph(text, V=weight)


def powers(units: np.ndarray) -> np.ndarray:
    """The exponents of units, which must be powers of two."""
    mantissas, exponents = np.frexp(units)
    assert (mantissas == 0.5).all()
    return exponents - 1


# Half precision


def test_in_half_precision_channels_peak_at_1_where_tokens_are_similar() -> None:
    model = uneven()
    x = np.vstack([np.eye(INPUTS), -np.eye(INPUTS)])  # as good as alike: each is a row of the weight
    x = x.astype(np.float32)
    ranges = measured(model, x)[1]
    usual = ranges["r"].largest / np.median(ranges["r"].tokens)
    peaks = ranges["h"].channels.reshape(-1) / half_units(model, "h", x)
    bound = np.sqrt(2.0)
    assert (peaks <= bound * np.sqrt(usual) * 1.001).all()
    assert (peaks >= 1 / bound).all()


def test_units_are_powers_of_two() -> None:
    x = np.random.default_rng(0).normal(size=(50, INPUTS)).astype(np.float32)
    for units in (half_units(uneven(), "h", x), int8_units(uneven(), "h", x)):
        assert len(set(powers(units))) > 10


@pytest.mark.parametrize(("spike", "peak"), [(1.0, 1.0), (1e2, 10.0), (1e6, 1e3), (1e12, LARGEST_HALF_PEAK)])
def test_where_a_token_stands_out_channels_peak_higher_up_to_a_bound(spike: float, peak: float) -> None:
    # Each channel is an input's: ±1, or ±spike in one token.
    model = graph(LINEAR, V=np.eye(INPUTS, HIDDEN) + 1e-30)
    units = half_units(model, "h", tokens(spike))[:INPUTS]
    np.testing.assert_array_equal(units, np.full(INPUTS, 2.0 ** np.round(np.log2(spike / peak))))


def test_usual_tokens_are_then_as_far_below_1_as_spikes_are_above() -> None:
    model = graph(LINEAR, V=np.eye(INPUTS, HIDDEN))
    units = half_units(model, "h", tokens(1e6))[:INPUTS]
    np.testing.assert_allclose([1.0 / units, 1e6 / units], [[1e-3] * INPUTS, [1e3] * INPUTS], rtol=0.5)


def test_queries_and_keys_have_equal_peaks() -> None:
    model = graph(ATTENTION)
    rng = np.random.default_rng(0)
    channels = ChannelGroups(model.graph)
    ranges = dict(calibrate(model, [{"x": rng.normal(size=(1, 40, 8)).astype(np.float32)}], channels))
    for name in ("query", "query4", "queries"):
        ranges[name] = times(ranges[name], 1e4)
    units = units_for_half(channels, ranges)
    query, key = (unit_of(model, name, channels, units) for name in ("query", "key"))
    np.testing.assert_array_equal(query * key, np.ones(6))
    peaks = [ranges[name].channels.reshape(-1) / unit for name, unit in (("query", query), ("key", key))]
    assert (np.abs(np.log2(peaks[0] / peaks[1])) <= 1.0 + 0.5).all()
    assert peaks[0].max() > 10  # both are above 1


def times(found: Range, factor: float) -> Range:
    return Range(
        found.low * factor, found.high * factor, found.rms * factor, found.tokens * factor, found.mean * factor
    )


def test_all_values_of_a_stream_count() -> None:
    model = graph(
        """(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[3, 3] A, float[3, 2] W>
        { u = MatMul(x, V) v = Gemm(u, A, u) y = MatMul(v, W) }""",
        V=np.eye(4, 3),
        A=np.diag([0.0, 7.0, 31.0]),
    )
    units = half_units(model, "u", np.vstack([np.eye(4), -np.eye(4)]).astype(np.float32))
    # u peaks at 1 in all channels; v at 1, 8 and 32, of which the spike may stay √(32 / 4.5) above 1.
    np.testing.assert_array_equal(units, [1.0, 4.0, 16.0])


# 8 bits


def test_in_8_bits_a_reader_gets_what_it_wishes() -> None:
    model, x = uneven(), np.random.default_rng(0).normal(size=(50, INPUTS)).astype(np.float32)
    reader, found = linears(model)[1], measured(model, x)[1]["r"]
    units = int8_units(model, "r", x)
    np.testing.assert_array_equal(relative(units), relative(wished_units(reader, found)))
    np.testing.assert_array_equal(int8_units(model, "h", x), units)
    assert 0.7 < (found.channels.reshape(-1) / units).max() < 1.5  # what is computed beside it peaks as high


def test_a_unit_is_the_root_of_the_peak_over_what_it_contributes() -> None:
    """SmoothQuant's rule with α = ½."""
    linear = product(np.eye(HIDDEN) * spread(-1, 1))
    peaks = spread(0, 0.9)
    found = Range(-peaks, peaks, peaks, peaks, np.zeros_like(peaks))
    # Each output is one input's, so that what a row contributes, in what its output varies by, is 1 / rms.
    contributes = 1.0 / peaks / np.sqrt(HIDDEN)
    expected = np.exp2(np.round(np.log2(np.sqrt(peaks / contributes))))
    assert len(set(expected)) > 2
    np.testing.assert_array_equal(wished_units(linear, found), expected)


def test_readers_of_one_stream_meet_in_the_middle() -> None:
    text = NETWORK.replace("(float[n, 35] y)", "(float[n, 35] y, float[n, 35] z)")
    text = text.replace("W>", "W, float[40, 35] U>").replace("y =", "z = MatMul(r, U) y =")
    factors = np.where(np.arange(HIDDEN) % 2, 1.0, 2.0**16)
    rng = np.random.default_rng(3)
    model = graph(text, U=constant(graph(text), "W") * factors[:, None])
    x = rng.normal(size=(50, INPUTS)).astype(np.float32)
    ranges = measured(model, x)[1]
    one, other = (wished_units(linear, ranges["r"]) for linear in linears(model)[1:])
    assert np.abs(np.log2(one / other)).max() >= 4
    # Each in such numbers that the stream would peak at 1.
    one, other = (wish * (ranges["r"].channels.reshape(-1) / wish).max() for wish in (one, other))
    np.testing.assert_array_equal(powers(int8_units(model, "r", x)), np.round(np.log2(one * other) / 2))


def test_only_readers_in_8_bits_count() -> None:
    model, x = uneven(), np.random.default_rng(0).normal(size=(50, INPUTS)).astype(np.float32)
    channels, ranges = measured(model, x)
    half = units_for_half(channels, ranges)
    assert not (half == 1).all()
    np.testing.assert_array_equal(units_for_int8(channels, ranges, linears(model)[:1]), half)
    np.testing.assert_array_equal(units_for_int8(channels, ranges, []), half)


def test_a_key_that_a_product_reads_counts_as_the_inverse() -> None:
    text = Text(ATTENTION).replace("(float[b, s, 5] y)", "(float[b, s, 5] y, float[b, s, 5] z)")
    text = text.replace("float[6, 5] O>", "float[6, 5] O, float[6, 5] U>").replace(
        "y = MatMul(context3", "z = MatMul(key, U) y = MatMul(context3"
    )
    model = graph(text, K=constant(graph(text), "K") * 2.0 ** np.arange(0, 18, 3))
    x = np.random.default_rng(0).normal(size=(1, 40, 8)).astype(np.float32)
    ranges = measured(model, x)[1]
    reader = next(linear for linear in linears(model) if linear.weight.name == "U")
    wished = wished_units(reader, ranges["key"])
    assert len(set(wished)) > 2
    units = int8_units(model, "key", x)
    np.testing.assert_array_equal(relative(units), relative(wished))
    np.testing.assert_array_equal(int8_units(model, "query", x), 1 / units)


def test_a_product_over_the_channels_of_one_head_has_no_wish() -> None:
    text = """(float[b, s, 8] x) => (float[b, s, 2, 3] y) <float[8, 8] V, float[4, 3] W, int64[4] heads = {0, 0, 2, 4}>
        { h = MatMul(x, V) r = Reshape(h, heads) y = MatMul(r, W) }"""
    model = graph(text)
    x = np.random.default_rng(0).normal(size=(1, 40, 8)).astype(np.float32)
    channels, ranges = measured(model, x)
    assert not is_measured(linears(model)[1], ranges["r"])
    assert (units_for_int8(channels, ranges, linears(model)) == 1).all()


# Both


@pytest.mark.parametrize("kind", ["half", "int8"])
def test_units_that_were_taken_are_not_taken_again(kind: str) -> None:
    """As far as tokens are alike in half precision, and no channel is a stranger among the others in 8 bits."""
    if kind == "half":
        model, x = graph(LINEAR, V=np.eye(INPUTS, HIDDEN) * spread(-3, 6)), tokens()
    else:
        model = graph(NETWORK, V=np.abs(constant(graph(NETWORK), "V")) * spread(-0.5, 0.5))
        x = np.abs(np.random.default_rng(0).normal(size=(300, INPUTS))).astype(np.float32)
    for again in (False, True):
        channels, ranges = measured(model, x)
        units = units_for_half(channels, ranges) if kind == "half" else units_for_int8(channels, ranges, linears(model))
        assert bool((units == 1).all()) == again
        Rescale(channels, units)(model)


@pytest.mark.parametrize("kind", ["half", "int8"])
def test_taken_a_second_time_units_hardly_change(kind: str) -> None:
    model, x = uneven(), np.random.default_rng(0).normal(size=(50, INPUTS)).astype(np.float32)
    found = []
    for _ in range(2):
        channels, ranges = measured(model, x)
        units = units_for_half(channels, ranges) if kind == "half" else units_for_int8(channels, ranges, linears(model))
        found.append(np.abs(powers(units)).max())
        Rescale(channels, units)(model)
    assert found[0] > 8
    assert found[1] <= 1


@pytest.mark.parametrize("kind", ["half", "int8"])
def test_units_are_those_of_the_checkpoint_times_its_own(kind: str) -> None:
    """A checkpoint may have its hidden channels in any units, those that no text made active included."""
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(size=(50, INPUTS))).astype(np.float32)
    weight = constant(graph(NETWORK), "V")
    weight[:, :10] = -np.abs(weight[:, :10])  # never active
    own = 2.0 ** rng.integers(-20, 21, size=HIDDEN)
    tame = graph(NETWORK, V=weight)
    hot = graph(NETWORK, V=weight * own, W=constant(tame, "W") / own[:, None])
    found = [(half_units if kind == "half" else int8_units)(model, "h", x) for model in (tame, hot)]
    # In half precision, where a value is to peak depends on all its channels.
    assert np.abs(powers(found[0] * own / found[1])).max() == (1 if kind == "half" else 0)


@pytest.mark.parametrize("kind", ["half", "int8"])
def test_dead_channels_stand_out_in_nothing(kind: str) -> None:
    weight = constant(graph(NETWORK), "V")
    weight[:, ::2] = 0
    model, x = graph(NETWORK, V=weight), np.random.default_rng(0).normal(size=(50, INPUTS)).astype(np.float32)
    units = (half_units if kind == "half" else int8_units)(model, "h", x)
    if kind == "half":
        np.testing.assert_array_equal(units[::2], np.ones(HIDDEN // 2))
    else:
        # As if they peaked at a sixteenth of the median, and roots are taken.
        low, high = units[1::2].min() / LEAST_PEAK, units[1::2].max()
        assert ((low < units[::2]) & (units[::2] < high)).all()


@pytest.mark.parametrize("kind", ["half", "int8"])
def test_where_everything_is_0_units_are_1(kind: str) -> None:
    model = graph(NETWORK, V=np.zeros((INPUTS, HIDDEN)))
    x = np.ones((3, INPUTS), np.float32)
    assert (half_units if kind == "half" else int8_units)(model, "h", x) == 1
    model = graph(NETWORK, W=np.zeros((HIDDEN, OUTPUTS)))
    assert np.isfinite((half_units if kind == "half" else int8_units)(model, "h", x)).all()


@pytest.mark.parametrize("kind", ["half", "int8"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_gets_a_finite_unit(kind: str, number: float) -> None:
    model, x = uneven(), np.random.default_rng(0).normal(size=(50, INPUTS)).astype(np.float32)
    channels, ranges = measured(model, x)
    poisoned = dict(ranges)
    for name in ("h", "r"):
        found = ranges[name]
        low, high, rms, rows = found.low.copy(), found.high.copy(), found.rms.copy(), found.tokens.copy()
        low[0, 3], high[0, 3], rms[0, 3], rows[7] = number, number, abs(number), abs(number)
        poisoned[name] = Range(low, high, rms, rows, np.zeros_like(high))
    units = units_for_half(channels, poisoned) if kind == "half" else units_for_int8(channels, poisoned, linears(model))
    powers(units)
    unit = unit_of(model, "h", channels, units)
    assert np.isfinite(unit).all()
    if kind == "half":
        assert (unit == 1).sum() < HIDDEN / 2  # the other channels have units
        assert unit[3] == 1


@pytest.mark.parametrize("kind", ["half", "int8"])
def test_what_was_not_measured_has_a_unit_of_1(kind: str) -> None:
    model = uneven()
    channels = ChannelGroups(model.graph)
    units = units_for_half(channels, {}) if kind == "half" else units_for_int8(channels, {}, linears(model))
    np.testing.assert_array_equal(units, np.ones(channels.count))


@pytest.mark.parametrize("kind", ["half", "int8"])
def test_plain_numbers_stay_plain(kind: str) -> None:
    model = uneven(NETWORK.replace("Relu(h)", "Tanh(h)"))
    x = np.random.default_rng(0).normal(size=(50, INPUTS)).astype(np.float32)
    channels, ranges = measured(model, x)
    units = units_for_half(channels, ranges) if kind == "half" else units_for_int8(channels, ranges, linears(model))
    assert units[0] == 1
    assert unit_of(model, "h", channels, units) == 1


# The loss


def range_of(x: np.ndarray) -> Range:
    return Range(x.min(axis=0), x.max(axis=0), np.sqrt(np.mean(x**2, axis=0)), np.abs(x).max(axis=1), x.mean(axis=0))


def real_loss(x: np.ndarray, weight: np.ndarray, units: np.ndarray) -> float:
    """Of DynamicQuantizeLinear and MatMulInteger: the mean squared error in each output's own variance."""
    scaled, (numbers, scales) = x / units, quantized(weight * units[:, None], axis=0)
    low, high = min(scaled.min(), 0.0), max(scaled.max(), 0.0)
    step = (high - low) / 255
    zero = np.round(-low / step)
    rounded = (np.clip(np.round(scaled / step) + zero, 0, 255) - zero) * step
    exact = x @ weight
    return float(np.mean(np.square((rounded @ (numbers * scales) - exact) / exact.std(axis=0))))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_loss_is_what_8_bits_really_lose(exponent: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, HIDDEN)) * 10.0 ** rng.uniform(-exponent, exponent, size=HIDDEN)
    linear = product(rng.normal(size=(HIDDEN, OUTPUTS)) * 10.0 ** rng.uniform(-1, 1, size=OUTPUTS))
    for units in (np.ones(HIDDEN), wished_units(linear, range_of(x))):
        real, expected = real_loss(x, linear.weight64(), units), loss_in_8_bits(linear, range_of(x), units)
        assert real / 2 < expected < real * 2


def test_wished_units_lose_less_where_channels_differ() -> None:
    rng = np.random.default_rng(0)
    factors = spread(-2, 2)
    x = rng.normal(size=(400, HIDDEN)) * factors
    linear = product(rng.normal(size=(HIDDEN, OUTPUTS)) / factors[:, None])  # each matters as much as the others
    units = wished_units(linear, range_of(x))
    for loss in (
        lambda u: loss_in_8_bits(linear, range_of(x), u),
        lambda u: real_loss(x, linear.weight64(), u),
    ):
        assert loss(units) < loss(np.ones(HIDDEN)) / 4


def test_nothing_is_lost_of_nothing() -> None:
    linear = product(np.random.default_rng(0).normal(size=(HIDDEN, OUTPUTS)))
    assert loss_in_8_bits(linear, range_of(np.zeros((5, HIDDEN))), np.ones(HIDDEN)) == 0.0
    linear = product(np.zeros((HIDDEN, OUTPUTS)))
    assert loss_in_8_bits(linear, range_of(np.ones((5, HIDDEN))), np.ones(HIDDEN)) == 0.0
