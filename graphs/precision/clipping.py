"""Clipping: the part of an activation's range that 256 steps represent with the least squared error."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import onnx_ir as ir

from graphs.execution.runner import runner
from graphs.execution.types import Feed
from graphs.precision.calibration import Ranges
from graphs.precision.int8 import Interval

# A histogram with 8 bins for each of 256 steps is fine enough to compute the cost of clipping.
BINS = 2048

# The ends that are tried, as shares of the measured ends: from 1 down to the smallest that was best for any tensor.
SHARES = np.geomspace(1.0, 0.05, 32)

# The number of texts in a histogram: the shape of a distribution needs fewer texts than its ends, which use all texts.
TEXTS = 16


def best_intervals(
    model: ir.Model, feeds: Sequence[Feed], ranges: Ranges, wanted: Collection[ir.Value]
) -> dict[str, Interval]:
    """Returns the interval of each value with the least cost when divided into 256 steps; numbers outside are clipped.

    The cost is the mean squared error: step² / 12 of rounding inside, the squared distance of clipped numbers outside.

    Args:
        model: The model of the ranges; it is not modified.
        feeds: The calibration texts; the first `TEXTS` are used.
        ranges: The ranges of the values, by name.
        wanted: The values of the model's graph whose intervals are returned.

    Returns:
        Intervals by the values' names; those of values that are infinite or not measured are left out.
    """
    values = {str(value.name): value for value in wanted}
    ends = {}
    for name in values:
        measured = ranges.get(name)
        if measured is not None and np.isfinite(measured.largest):
            ends[name] = (min(float(measured.low.min()), 0.0), max(float(measured.high.max()), 0.0))
    counts = {name: np.zeros(BINS) for name in ends}
    run = runner(model, {name: values[name].dtype or ir.DataType.FLOAT for name in ends})
    for feed in feeds[:TEXTS]:
        found = run(feed)
        for name, (low, high) in ends.items():
            if high > low:
                bins = ((found[name].reshape(-1) - np.float32(low)) * np.float32(BINS / (high - low))).astype(np.int32)
                counts[name] += np.bincount(np.clip(bins, 0, BINS - 1), minlength=BINS)
    return {name: _best(counts[name], *ends[name]) for name in ends}


def whole_intervals(ranges: Ranges) -> dict[str, Interval]:
    """Returns the intervals from the smallest to the largest number of each value, without infinite ones."""
    return {
        name: Interval(float(measured.low.min()), float(measured.high.max()))
        for name, measured in ranges.items()
        if np.isfinite(measured.largest)
    }


def _best(counts: np.ndarray, low: float, high: float) -> Interval:
    """Returns the pair of ends with the smallest squared error."""
    centres = low + (np.arange(BINS) + 0.5) * (high - low) / BINS
    lows, highs = SHARES * low, SHARES * high
    below = [_cut(counts, end - centres) for end in lows]
    above = [_cut(counts, centres - end) for end in highs]
    steps = (highs[None, :] - lows[:, None]) / 255
    cost = np.add.outer([c for c, _ in below], [c for c, _ in above])
    inside = counts.sum() - np.add.outer([n for _, n in below], [n for _, n in above])
    cost += np.square(steps) / 12 * inside
    first, second = np.unravel_index(int(cost.argmin()), cost.shape)
    return Interval(float(lows[first]), float(highs[second]))


def _cut(counts: np.ndarray, beyond: np.ndarray) -> tuple[float, float]:
    """Returns the squared error of the numbers clipped at an end, and their count."""
    cut = beyond > 0
    return float(np.square(beyond[cut]) @ counts[cut]), float(counts[cut].sum())
