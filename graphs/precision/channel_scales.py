"""Which units to measure activations in, so that 16 or 8 bits hold them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from graphs.ir.linear import Linear
from graphs.precision.calibration import Range, Ranges
from graphs.precision.channel_groups import PLAIN, Channels

# In half precision a channel peaks at 1 if all tokens are alike, and higher where a few stand out, so that the others
# do not drown; but at no more than this, as far from float16's largest number as a channel may grow on other texts.
LARGEST_HALF_PEAK = 2048.0

# A channel that contributed less than this share of the median one on calibration texts may do more on others.
LEAST_PEAK = 16.0


def units_for_half(channels: Channels, ranges: Ranges) -> np.ndarray:
    """Units in which every channel peaks at about 1, or at what its spikes leave room for; all powers of two.

    A power of two changes no digit, so that float32 computes the same as before.

    Returns:
        A unit for each choice of `channels`.
    """
    wishes, inverse_wishes = np.zeros(channels.count), np.zeros(channels.count)
    for value in channels.values:
        found, measured = channels.of(value), ranges.get(str(value.name))
        if found is None or measured is None:
            continue
        (ids, inverse), largest = found, measured.channels / _half_peak(measured)
        if largest.shape != ids.shape:
            continue
        np.maximum.at(wishes, ids[~inverse], largest[~inverse])
        np.maximum.at(inverse_wishes, ids[inverse], largest[inverse])
    with np.errstate(divide="ignore", invalid="ignore"):
        # Queries and keys, whose units are each other's inverse, peak alike.
        units = np.where(inverse_wishes > 0, np.sqrt(wishes / inverse_wishes), wishes)
    return _powers_of_two(units)


def _half_peak(measured: Range) -> float:
    """Where a value is to peak in half precision: as far above 1 as its usual tokens are then below."""
    usual = float(np.median(measured.tokens))
    apart = measured.largest / usual if usual > 0 else 1.0
    return float(np.clip(np.sqrt(apart), 1.0, LARGEST_HALF_PEAK)) if np.isfinite(apart) else 1.0


def units_for_int8(channels: Channels, ranges: Ranges, readers: Iterable[Linear]) -> np.ndarray:
    """Units that share the loss of 8 bits between activations and weights, all of them powers of two.

    A matrix product in 8 bits has one step for all channels of its input, and one for all rows of a weight's column. A
    channel's unit is √(peak / weight), where weight is what its row contributes for a number of 1, measured in what
    varies in each output: as Xiao et al. 2022 (SmoothQuant, arXiv 2211.10438, with α = ½) share it. A stream that
    several layers read gets the geometric mean of what each of them would want, and peaks at about 1, so that streams
    that are computed side by side can share a step.

    What none of these products reads has the units of half precision, in which phones compute what is left.

    Args:
        readers: The products that will be computed in 8 bits.
    """
    total, count = np.zeros(channels.count), np.zeros(channels.count)
    unread = units_for_half(channels, ranges)
    for linear in readers:
        found, measured = channels.of(linear.x), ranges.get(str(linear.x.name))
        if found is None or measured is None or not is_measured(linear, measured):
            continue
        ids, inverse = (array.reshape(-1) for array in found)
        wished = wished_units(linear, measured)
        peak = (measured.channels.reshape(-1) / wished).max()
        wish = np.log2(wished * peak if np.isfinite(peak) and peak > 0 else wished)
        np.add.at(total, ids, np.where(inverse, -wish, wish))
        np.add.at(count, ids, 1.0)
    return _powers_of_two(np.where(count > 0, np.exp2(total / np.maximum(count, 1.0)), unread))


def is_measured(linear: Linear, measured: Range) -> bool:
    """Whether there is a range for each of a product's inputs. (Those of one head, or tokens, are no channels.)"""
    return measured.channels.size == linear.depth


def wished_units(linear: Linear, measured: Range) -> np.ndarray:
    """The units, ``[in]``, that one product would have its input in: powers of two.

    Args:
        linear: The product.
        measured: Its input.
    """
    peaks, rms = _seen(linear, measured)
    with np.errstate(divide="ignore", invalid="ignore"):
        wish = np.sqrt(peaks / _row_weights(linear, rms))
    known = np.isfinite(wish) & (wish > 0)
    middle = np.exp2(np.median(np.log2(wish[known]))) if known.any() else 1.0
    return _rounded(np.where(known, wish, middle))  # what nothing is known of must stand out in neither


def loss_in_8_bits(linear: Linear, measured: Range, units: np.ndarray) -> float:
    """The expected squared error of a product in 8 bits, with its input in these units, relative to what varies in it.

    Rounding is taken for noise, evenly distributed over a step: that of the input (one step for all of it), and that of
    the weight (a step for each column).
    """
    peaks, rms = _seen(linear, measured)
    scaled = units.reshape(-1, 1) * linear.weight64() / _varying(linear, rms)
    step = 2 * float((peaks / units).max(initial=0.0)) / 255
    steps = np.abs(scaled).max(axis=0, initial=0.0) / 127
    of_input = step**2 / 12 * np.square(scaled).sum(axis=0).mean()
    of_weight = np.square(steps).mean() / 12 * np.square(rms / units).sum()
    return float(of_input + of_weight)


def _seen(linear: Linear, measured: Range) -> tuple[np.ndarray, np.ndarray]:
    """The peak of each channel, of those that hardly showed what they may show yet; and its root mean square.

    What a channel contributes to the outputs is the same in all units, and so tells how large one may be that never
    showed: a checkpoint may measure each channel in a unit of its own.
    """
    peaks, rms = measured.channels.reshape(-1), measured.rms.reshape(-1)
    weights = _row_weights(linear, rms)
    with np.errstate(divide="ignore", invalid="ignore"):
        contributed = peaks * weights
        usual = np.median(contributed[contributed > 0]) if (contributed > 0).any() else 0.0
        least = usual / LEAST_PEAK / weights
    return np.where(np.isfinite(least), np.maximum(peaks, least), peaks), rms


def _row_weights(linear: Linear, rms: np.ndarray) -> np.ndarray:
    """What each row of a weight contributes, ``[in]``: root mean square over columns."""
    return np.sqrt(np.mean(np.square(linear.weight64() / _varying(linear, rms)), axis=1))


def _varying(linear: Linear, rms: np.ndarray) -> np.ndarray:
    """How much each output varies, ``[out]``, if its inputs do so independently of each other."""
    varies = np.sqrt(np.square(rms.reshape(-1, 1) * linear.weight64()).sum(axis=0))
    return np.where(varies > 0, varies, 1.0)


def _powers_of_two(units: np.ndarray) -> np.ndarray:
    """Units for all choices."""
    units = _rounded(units)
    units[PLAIN] = 1.0
    return units


def _rounded(units: np.ndarray) -> np.ndarray:
    """To the nearest power of two; 1 where that is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.round(np.log2(units))
    return np.exp2(np.where(np.isfinite(powers), powers, 0.0))
