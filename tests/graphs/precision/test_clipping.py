"""Clipping of ranges for 256 steps."""

from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import graph

from graphs.precision.calibration import calibrate
from graphs.precision.channel_groups import ChannelGroups
from graphs.precision.clipping import best_intervals, whole_intervals
from graphs.precision.int8 import Interval

RELU = "(float[n, 8] x) => (float[n, 8] y) { y = Relu(x) }"
SAME = "(float[n, 8] x) => (float[n, 8] y) { y = Identity(x) }"


def best(x: np.ndarray, text: str = SAME) -> Interval:
    model = graph(text)
    feed = {"x": x.reshape(-1, 8).astype(np.float32)}
    values = [output for node in model.graph for output in node.outputs]
    return best_intervals(model, [feed], calibrate(model, [feed], ChannelGroups(model.graph)), values)["y"]


def squared_error(x: np.ndarray, interval: Interval, bits: int = 8) -> float:
    step, zero = interval.step(bits), interval.zero(bits)
    whole = np.clip(np.round(x / step) + zero, 0, 2**bits - 1)
    return float(np.mean(np.square((whole - zero) * step - x)))


def test_an_even_distribution_keeps_its_ends() -> None:
    x = np.linspace(-1, 3, 8000)
    found = best(x)
    assert (found.low, found.high) == (pytest.approx(-1.0), pytest.approx(3.0))


def test_what_relu_gives_begins_at_0() -> None:
    found = best(np.random.default_rng(0).normal(size=8000), RELU)
    assert found.low == 0
    assert found.zero(8) == 0


@pytest.mark.parametrize("tail", ["normal", "laplace", "logistic"])
def test_no_wider_or_narrower_interval_has_less_error(tail: str) -> None:
    x = getattr(np.random.default_rng(0), tail)(size=80000)
    found = best(x)
    least = squared_error(x, found)
    for low in (0.5, 0.8, 1.25, 2):
        for high in (0.5, 0.8, 1.25, 2):
            assert least <= 1.02 * squared_error(x, Interval(low * found.low, high * found.high))


def test_a_rare_outlier_is_cut_off_and_one_that_weighs_is_not() -> None:
    x = np.random.default_rng(0).normal(size=2_000_000)
    rare, large = x.copy(), x.copy()
    rare[0], large[0] = 30.0, 3000.0
    assert best(rare).high < 15
    assert best(large).high > 500


def test_both_ends_are_chosen_by_themselves() -> None:
    x = np.random.default_rng(0).normal(size=2_000_000)
    x[:2] = -30.0, 4.0
    found = best(x)
    assert -15 < found.low < -3
    assert found.high > 3


def test_nothing_but_zeros() -> None:
    found = best(np.zeros(16))
    assert (found.step(8), found.zero(8)) == (1.0, 0)


def test_what_is_infinite_or_not_measured_is_left_out() -> None:
    model = graph(SAME)
    feed = {"x": np.full((1, 8), np.inf, np.float32)}
    ranges = calibrate(model, [feed], ChannelGroups(model.graph))
    values = [output for node in model.graph for output in node.outputs]
    assert best_intervals(model, [feed], ranges, values) == {}
    assert best_intervals(model, [feed], {}, values) == {}
    assert whole_intervals(ranges) == {}


def test_whole_intervals_are_what_was_seen() -> None:
    model = graph(SAME)
    feed = {"x": np.linspace(-1, 3, 16, dtype=np.float32).reshape(2, 8)}
    assert whole_intervals(calibrate(model, [feed], ChannelGroups(model.graph))) == {"y": Interval(-1.0, 3.0)}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, 5.0), (2.0, 5.0), (-7.0, -2.0), (-1e-30, 1e30)])
def test_0_is_a_number_of_every_interval(low: float, high: float, bits: int) -> None:
    interval = Interval(low, high)
    step, zero = interval.step(bits), interval.zero(bits)
    assert 0 <= zero <= 2**bits - 1
    assert -zero * step <= min(low, 0) + step
    assert (2**bits - 1 - zero) * step >= max(high, 0) - step
