"""Centred error: the distance between two sets of outputs, relative to how much the outputs vary.

MobileBERT's outputs span many powers of ten, so an absolute tolerance means nothing, a ratio per number explodes near
zero, and outputs that hardly vary make any ratio to their size look good. The centred error is
``‖a − b‖ / ‖b − mean(b)‖`` per output over the real tokens, with the mean taken per channel.

All three packages measure with this module; `perf`, which imports neither of the others, receives
`largest_centred_error` as an argument.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphs.execution.types import Feed, Outputs, Runner

# An output whose spread is less than this share of its size (a saturated pooler's) is compared with its size: its
# spread is not much more than float32 rounding.
NEARLY_CONSTANT = 1e-3

# The axes of attention's probabilities and scores: batch, heads, queries, keys.
ATTENTION_AXES = 4


@dataclass
class CentredError:
    """Accumulator of the centred error of one output over batches of rows.

    Rows are not kept, since those of a vocabulary's logits are large. The spread around the mean is merged batch by
    batch (Chan, Golub, LeVeque 1979), which loses nothing to a mean that is far larger than the spread. A value that is
    not finite makes the error NaN, on whichever side it is: two models that answer NaN do not agree.

    Args:
        constant_by_size: Whether the difference is divided by the size of an output that hardly varies, or has one row
            only. Otherwise any difference from a constant output is an infinite error.
    """

    constant_by_size: bool = False
    _rows: int = 0
    _mean: np.ndarray | float = 0.0
    _spread: float = 0.0
    _size: float = 0.0
    _difference: float = 0.0
    _equal: bool = True

    def add(self, found: np.ndarray, judge: np.ndarray) -> None:
        """Adds a batch of real rows, ``[rows, channels]`` each, as `real_rows` returns them.

        Args:
            found: The outputs under test.
            judge: The outputs that they are compared with.
        """
        if not len(judge):
            return
        found, judge = found.astype(np.float64), judge.astype(np.float64)
        if not (np.isfinite(found).all() and np.isfinite(judge).all()):
            self._difference, self._equal = math.nan, False
            return
        self._equal = self._equal and np.array_equal(found, judge)
        self._difference += _squared(found - judge)
        mean, rows = judge.mean(axis=0), self._rows + len(judge)
        if self._rows:
            self._spread += float(np.sum(np.square(mean - self._mean))) * self._rows * len(judge) / rows
        self._spread += _squared(judge - mean)
        self._size += _squared(judge)
        self._mean, self._rows = self._mean + (mean - self._mean) * len(judge) / rows, rows

    def value(self) -> float:
        """Returns the centred error of all batches; 0 where both sides are equal, however little they vary."""
        if self._equal:
            return 0.0
        if math.isnan(self._difference):
            return math.nan
        spread, size = math.sqrt(self._spread), math.sqrt(self._size)
        if self.constant_by_size and spread < NEARLY_CONSTANT * size:
            spread = size
        return math.sqrt(self._difference) / spread if spread else math.inf


def real_rows(values: np.ndarray, mask: np.ndarray | None = None, row_axes: int | None = None) -> np.ndarray:
    """Returns the rows of an output that belong to real tokens, ``[rows, channels]``.

    Args:
        values: One output.
        mask: The attention mask, ``[batch, seq]`` or ``[batch, choices, seq]``; None where every token is real.
        row_axes: The number of leading axes of `values` that count rows (batch, choices, tokens); the axes after them
            are channels. They are also the leading axes of `mask`. Rows of padding are dropped, and rows of a text
            without a real token.

            None for an output of unknown meaning. The last axis is then the channels and all other axes are rows; a
            vector, or what remains of a matrix once its rows are flattened by the mask, has one channel. Rows of
            padding are dropped where the leading axes have the mask's shape or are one axis of its size, and where
            the axes are those of attention, ``[batch, heads, seq, seq]``; otherwise texts without a real token are,
            where the first axis is the mask's batch.
    """
    if row_axes is not None:
        rows = values.reshape(math.prod(values.shape[:row_axes]), math.prod(values.shape[row_axes:]))
        return rows if mask is None else rows[mask.astype(bool).any(axis=tuple(range(row_axes, mask.ndim))).ravel()]
    if mask is not None and values.shape[: mask.ndim] == mask.shape:
        values = values[mask.astype(bool)]
    elif mask is not None and values.ndim > 1 and values.shape[:1] == (mask.size,):
        values = values[mask.astype(bool).ravel()]
    elif (
        mask is not None
        and values.ndim == ATTENTION_AXES
        and (values.shape[0], *values.shape[2:])
        == (
            *mask.shape,
            mask.shape[-1],
        )
    ):
        values = values.transpose(0, 2, 1, 3)[mask.astype(bool)]
    elif mask is not None and values.ndim and values.shape[0] == mask.shape[0]:
        values = values[mask.reshape(mask.shape[0], -1).any(axis=1)]
    if values.ndim < 2:
        return values.reshape(-1, 1)
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])


def centred_error(found: np.ndarray, judge: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Computes the centred error of one output of any graph; NaN if a value of a real token is not finite.

    Args:
        found, judge: Of one shape. An output that is not floating point has an error of 0 where all its values are
            equal, and an infinite one otherwise.
        mask: The attention mask; see `real_rows`.
    """
    if judge.dtype.kind != "f":
        return 0.0 if np.array_equal(found, judge) else math.inf
    error = CentredError(constant_by_size=True)
    error.add(real_rows(found, mask), real_rows(judge, mask))
    return error.value()


def centred_errors(run: Runner, feeds: Sequence[Feed], references: Sequence[Outputs]) -> np.ndarray:
    """Computes the centred error of each output on each feed, ``[feeds, outputs]``.

    Args:
        run: Returns a model's outputs by name.
        feeds: The inputs by name; padding is not compared where `attention_mask` is among them.
        references: The outputs of each feed that `run`'s are compared with.
    """
    errors = []
    for feed, reference in zip(feeds, references, strict=True):
        found, mask = run(feed), feed.get("attention_mask")
        errors.append([centred_error(found[name], judge, mask) for name, judge in reference.items()])
    return np.array(errors)


def largest_centred_error(found: Outputs, judge: Outputs, feed: Feed) -> float:
    """Computes the largest centred error over the outputs that `judge` has.

    Args:
        found, judge: Outputs by name.
        feed: The inputs by name. Without an `attention_mask` among them, every token of `input_ids` is real.

    Returns:
        NaN if a value of a real token is not finite, infinity if an output is missing or has another shape.
    """
    mask = feed.get("attention_mask")
    if mask is None and "input_ids" in feed:
        mask = np.ones(feed["input_ids"].shape, bool)
    errors = [
        centred_error(found[name], value, mask) if name in found and found[name].shape == value.shape else math.inf
        for name, value in judge.items()
    ]
    return max(errors, default=0.0, key=lambda error: math.inf if math.isnan(error) else error)


def _squared(values: np.ndarray) -> float:
    """Returns the squared Euclidean norm."""
    flat = values.ravel(order="K")
    return float(flat.dot(flat))
