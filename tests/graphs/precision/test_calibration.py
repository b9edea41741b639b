"""The ranges of a graph's values on texts."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, constant, graph
from graph_texts import ATTENTION

from graphs.precision.calibration import Range, calibrate
from graphs.precision.channel_groups import ChannelGroups

TEXT = """(float[b, s, 4] x) => (float[b, s, 2] y) <float[4, 3] V, float[3, 2] W>
    { h = MatMul(x, V) r = Relu(h) y = MatMul(r, W) }"""


def texts(*shapes: tuple[int, ...]) -> list[Arrays]:
    rng = np.random.default_rng(0)
    return [{"x": rng.normal(size=shape).astype(np.float32)} for shape in shapes]


FEEDS = texts((1, 5, 4), (1, 2, 4), (3, 7, 4))


def ranges(model: ir.Model, feeds: list[Arrays] = FEEDS) -> dict[str, Range]:
    return calibrate(model, feeds, ChannelGroups(model.graph))


def test_each_channel_is_measured_over_all_tokens_of_all_texts() -> None:
    model = graph(TEXT)
    h = np.concatenate([feed["x"].reshape(-1, 4) for feed in FEEDS]) @ constant(model, "V")
    hidden = {"h": h, "r": np.maximum(h, 0.0)}
    hidden["y"] = hidden["r"] @ constant(model, "W")
    measured = ranges(model)
    assert set(measured) == {"h", "r", "y"}
    for name, array in hidden.items():
        found = measured[name]
        assert found.low.shape == found.high.shape == found.rms.shape == (1, 1, array.shape[1])
        np.testing.assert_allclose(found.low.reshape(-1), array.min(axis=0), atol=1e-6)
        np.testing.assert_allclose(found.high.reshape(-1), array.max(axis=0), atol=1e-6)
        np.testing.assert_allclose(found.rms.reshape(-1), np.sqrt(np.mean(array**2, axis=0)), rtol=1e-5)
        np.testing.assert_allclose(found.channels.reshape(-1), np.abs(array).max(axis=0), atol=1e-6)
        np.testing.assert_allclose(found.tokens, np.abs(array).max(axis=1), atol=1e-6)
        assert found.largest == pytest.approx(np.abs(array).max(), rel=1e-5)


def test_the_lowest_number_counts_as_much_as_the_highest() -> None:
    low, high = np.array([[-3.0, 1.0]]), np.array([[2.0, 4.0]])
    found = Range(low, high, high, np.array([4.0]), np.zeros_like(high))
    np.testing.assert_array_equal(found.channels, [[3.0, 4.0]])
    assert found.largest == 4.0


def test_in_heads_a_channel_is_a_channel_of_a_head() -> None:
    model = graph(ATTENTION)
    feeds = texts((2, 3, 8), (1, 6, 8))
    measured = ranges(model, feeds)
    key = np.concatenate([feed["x"].reshape(-1, 8) for feed in feeds]) @ constant(model, "K")
    assert measured["keys"].low.shape == (1, 2, 3, 1)
    np.testing.assert_allclose(measured["keys"].high.reshape(-1), key.max(axis=0), rtol=1e-5)
    np.testing.assert_allclose(measured["keys"].rms.reshape(-1), measured["key"].rms.reshape(-1), rtol=1e-5)
    assert measured["queries"].low.shape == measured["context"].low.shape == (1, 2, 1, 3)


def test_what_has_no_channels_has_one_range() -> None:
    measured = ranges(graph(ATTENTION), texts((2, 3, 8), (1, 6, 8)))
    assert measured["scores"].low.shape == measured["weights"].rms.shape == (1, 1, 1, 1)
    assert len(measured["weights"].tokens) == 2 * 2 * 3 + 2 * 6
    assert measured["weights"].largest <= 1.0


def test_a_number_alone_is_measured() -> None:
    model = graph("(float[n] x) => (float y) <int64[1] axes = {0}> { y = ReduceMax <keepdims = 0> (x, axes) }")
    (found,) = ranges(model, [{"x": np.array([1, -3], np.float32)}, {"x": np.array([-5, -4], np.float32)}]).values()
    assert (found.low.item(), found.high.item(), found.largest) == (-4.0, 1.0, 4.0)
    np.testing.assert_array_equal(found.tokens, [1.0, 4.0])


def test_texts_without_tokens_are_not_measured() -> None:
    model = graph(TEXT)
    assert ranges(model, texts((1, 0, 4))) == {}
    measured = ranges(model, [*texts((1, 0, 4)), *FEEDS])
    np.testing.assert_array_equal(measured["h"].rms, ranges(model)["h"].rms)


def test_no_text_at_all_measures_nothing() -> None:
    assert ranges(graph(TEXT), []) == {}


def test_integers_are_not_measured() -> None:
    model = graph("(int64[n] i) => (float[n] y) { j = Add(i, i) f = Cast <to = 1> (j) y = Neg(f) }")
    assert set(ranges(model, [{"i": np.arange(3)}])) == {"f", "y"}


def test_half_precision_is_measured_in_float64() -> None:
    model = graph("(float16[n, 2] x) => (float16[n, 2] y) { y = Neg(x) }")
    (found,) = ranges(model, [{"x": np.full((3, 2), 60000, np.float16)}]).values()
    np.testing.assert_array_equal(found.rms, [[np.float16(60000)] * 2])


def test_what_is_no_number_stays_visible() -> None:
    model = graph("(float[n, 3] x) => (float[n, 3] y) { y = Sqrt(x) }")
    feeds = [{"x": np.array([[4, -1, np.inf]], np.float32)}, {"x": np.ones((2, 3), np.float32)}]
    (found,) = ranges(model, feeds).values()
    np.testing.assert_array_equal(found.channels, [[2.0, np.nan, np.inf]])
    assert np.isnan(found.largest)


def test_squares_beyond_float32_are_measured() -> None:
    model = graph("(float[n, 1] x) => (float[n, 1] y) { y = Neg(x) }")
    (found,) = ranges(model, [{"x": np.full((2, 1), 1e30, np.float32)}]).values()
    assert found.rms.item() == pytest.approx(1e30)


def test_the_graph_is_not_modified() -> None:
    model = graph(TEXT)
    before = ir.to_proto(model)
    ranges(model)
    assert ir.to_proto(model) == before
