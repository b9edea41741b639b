"""Calibration: ranges of a graph's values on real texts, from which fp16 and int8 choose their scales."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphs.execution.runner import runner
from graphs.execution.types import Feed
from graphs.precision.channel_groups import ChannelGroups

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


@dataclass
class Range:
    """Range of one value over all texts.

    Args:
        low, high: The smallest and the largest number of each channel, in the value's layout: dimensions that are not
            channels have size 1.
        rms: The root mean square of each channel.
        tokens: The largest magnitude in each row (all but the last dimension are rows), of all texts.
        mean: The mean of each channel over real tokens.
    """

    low: np.ndarray
    high: np.ndarray
    rms: np.ndarray
    tokens: np.ndarray
    mean: np.ndarray

    @property
    def channels(self) -> np.ndarray:
        """The largest magnitude of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def largest(self) -> float:
        """The largest magnitude; NaN if one number is NaN."""
        return float(self.channels.max(initial=0.0))


Ranges = Mapping[str, Range]


def calibrate(
    model: ir.Model,
    feeds: Iterable[Feed],
    channels: ChannelGroups,
    only: Collection[ir.Value] | None = None,
    *,
    also: Callable[[ir.Value, np.ndarray, Feed], None] | None = None,
) -> dict[str, Range]:
    """Runs a model on texts, and measures all floating-point values of its main graph.

    Args:
        model: Any model that onnxruntime runs, with named values of known shapes; it is not modified.
        feeds: Inputs, one text each; they are run one by one, and all values of one run are in memory at once.
        channels: The channel groups of the model's graph.
        only: The values that are measured; default: all.
        also: Called with each value, its array, and the feed of the run.

    Returns:
        The ranges by the values' names.

    Raises onnxruntime's errors.
    """
    values = {
        str(output.name): output
        for node in model.graph
        for output in node.outputs
        if output.name and output.dtype in FLOATS and (only is None or output in only)
    }
    run = runner(model, {name: value.dtype for name, value in values.items() if value.dtype is not None})
    sums: dict[str, _Sum] = {}
    for feed in feeds:
        found = run(feed)
        for name, value in values.items():
            array = found[name]
            if also is not None:
                also(value, array, feed)
            if array.size:
                one = sums.setdefault(name, _Sum(_channel_axes(value, array.ndim, channels)))
                one.add(array, _without_padding(array, feed.get("attention_mask")))
    return {name: one.range() for name, one in sums.items()}


def _channel_axes(value: ir.Value, rank: int, channels: ChannelGroups) -> tuple[int, ...]:
    """Returns the axes that are channels: those of the value's layout, else the last axis if its size is fixed."""
    found = channels.of(value)
    if found is not None and found[0].ndim == rank:
        return tuple(axis for axis, size in enumerate(found[0].shape) if size > 1)
    fixed = value.shape is not None and len(value.shape) == rank and rank and isinstance(value.shape[-1], int)
    return (rank - 1,) if fixed else ()


def _without_padding(array: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Returns the real tokens' rows of a value ``[tokens, channels]`` or ``[batch, seq, channels]``, else all."""
    if mask is None or mask.all():
        return array
    for shape in (mask.shape, (mask.size,)):
        if array.ndim == len(shape) + 1 and array.shape[:-1] == shape:
            return array[mask.reshape(shape).astype(bool)].reshape((-1,) + (1,) * (array.ndim - 2) + array.shape[-1:])
    return array


class _Sum:
    """Accumulator of one value's statistics, text by text."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        self._axes = axes
        self._low: np.ndarray | float = np.inf
        self._high: np.ndarray | float = -np.inf
        self._squares: np.ndarray | float = 0.0
        self._count = 0
        self._total: np.ndarray | float = 0.0
        self._real = 0
        self._tokens: list[np.ndarray] = []

    def add(self, array: np.ndarray, real: np.ndarray) -> None:
        others = tuple(axis for axis in range(array.ndim) if axis not in self._axes)
        low, high = array.min(axis=others, keepdims=True), array.max(axis=others, keepdims=True)
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
        with np.errstate(over="ignore"):
            self._squares = self._squares + np.square(array, dtype=np.float64).sum(axis=others, keepdims=True)
        self._count += array.size // low.size
        self._total = self._total + real.sum(axis=others, keepdims=True, dtype=np.float64)
        self._real += real.size // low.size
        rows = array.reshape(-1, array.shape[-1] if array.ndim else 1)
        self._tokens.append(np.maximum(rows.max(axis=1), -rows.min(axis=1)))

    def range(self) -> Range:
        return Range(
            np.asarray(self._low),
            np.asarray(self._high),
            np.sqrt(np.asarray(self._squares) / self._count),
            np.concatenate(self._tokens),
            np.asarray(self._total) / max(self._real, 1),
        )
