"""Units of the channel groups, chosen so that fp16 or int8 holds all activations."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from graphs.ir.linear import Linear
from graphs.precision.calibration import Range, Ranges
from graphs.precision.channel_groups import PLAIN, ChannelGroups

# In half precision a channel peaks at 1 if all tokens have similar magnitudes, and higher where a few stand out, so
# that the others keep enough digits; but at no more than this, 1/32 of float16's largest number, as room for other
# texts.
LARGEST_HALF_PEAK = 2048.0

# A channel is assumed to reach at least the contribution of the median channel divided by this, on other texts.
LEAST_PEAK = 16.0


def units_for_half(channels: ChannelGroups, ranges: Ranges) -> np.ndarray:
    """Returns units in which every channel peaks at about 1, or higher where a few tokens stand out.

    Units are powers of two, which change no digit, so that float32 computes the same as before.

    Returns:
        A unit for each group of `channels`.
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
        # Queries and keys, whose units are inverse to each other, get equal peaks.
        units = np.where(inverse_wishes > 0, np.sqrt(wishes / inverse_wishes), wishes)
    return _powers_of_two(units)


def _half_peak(measured: Range) -> float:
    """Returns the peak of a value in half precision: as far above 1 as its median token is below 1."""
    usual = float(np.median(measured.tokens))
    apart = measured.largest / usual if usual > 0 else 1.0
    return float(np.clip(np.sqrt(apart), 1.0, LARGEST_HALF_PEAK)) if np.isfinite(apart) else 1.0


def units_for_int8(channels: ChannelGroups, ranges: Ranges, readers: Iterable[Linear]) -> np.ndarray:
    """Returns units that share the loss of 8 bits between activations and weights; all are powers of two.

    A matrix product in 8 bits has one step for all channels of its input, and one for each column of its weight. A
    channel's unit is √(peak / weight), where weight is the contribution of its row to the outputs for an input of 1,
    relative to how much each output varies (Xiao et al. 2022, SmoothQuant, arXiv 2211.10438, with α = ½). A stream that
    several layers read gets the geometric mean of their best units, and peaks at about 1, so that streams that are
    computed side by side can share a step.

    Channels that none of these products reads get the units of half precision, in which phones compute the rest.

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
    """Returns whether each input channel of a product has a range. (A head's or token's numbers are not channels.)"""
    return measured.channels.size == linear.depth


def wished_units(linear: Linear, measured: Range) -> np.ndarray:
    """Returns the best units ``[in]`` of one product's input, as powers of two.

    Args:
        linear: The product.
        measured: The range of its input.
    """
    peaks, rms = _seen(linear, measured)
    with np.errstate(divide="ignore", invalid="ignore"):
        wish = np.sqrt(peaks / _row_weights(linear, rms))
    known = np.isfinite(wish) & (wish > 0)
    middle = np.exp2(np.median(np.log2(wish[known]))) if known.any() else 1.0
    return _rounded(np.where(known, wish, middle))  # channels without data must not stand out


def loss_in_8_bits(linear: Linear, measured: Range, units: np.ndarray) -> float:
    """Returns the expected squared error of a product in 8 bits, relative to the variation of its outputs.

    Rounding errors are modelled as noise, uniform over a step: those of the input (one step for all channels) and those
    of the weight (a step for each column).

    Args:
        linear: The product.
        measured: The range of its input.
        units: The units ``[in]`` of its input.
    """
    peaks, rms = _seen(linear, measured)
    scaled = units.reshape(-1, 1) * linear.weight64() / _varying(linear, rms)
    step = 2 * float((peaks / units).max(initial=0.0)) / 255
    steps = np.abs(scaled).max(axis=0, initial=0.0) / 127
    of_input = step**2 / 12 * np.square(scaled).sum(axis=0).mean()
    of_weight = np.square(steps).mean() / 12 * np.square(rms / units).sum()
    return float(of_input + of_weight)


def _seen(linear: Linear, measured: Range) -> tuple[np.ndarray, np.ndarray]:
    """Returns the peak and the root mean square of each channel; small peaks are raised as a margin.

    A channel's contribution to the outputs is the same in all units, so the median contribution bounds the peak of a
    channel that was hardly active, whatever the unit in which the checkpoint stores it.
    """
    peaks, rms = measured.channels.reshape(-1), measured.rms.reshape(-1)
    weights = _row_weights(linear, rms)
    with np.errstate(divide="ignore", invalid="ignore"):
        contributed = peaks * weights
        usual = np.median(contributed[contributed > 0]) if (contributed > 0).any() else 0.0
        least = usual / LEAST_PEAK / weights
    return np.where(np.isfinite(least), np.maximum(peaks, least), peaks), rms


def _row_weights(linear: Linear, rms: np.ndarray) -> np.ndarray:
    """Returns the contribution of each row of a weight, ``[in]``: the root mean square over columns."""
    return np.sqrt(np.mean(np.square(linear.weight64() / _varying(linear, rms)), axis=1))


def _varying(linear: Linear, rms: np.ndarray) -> np.ndarray:
    """Returns the variation of each output, ``[out]``, if its inputs vary independently of each other."""
    varies = np.sqrt(np.square(rms.reshape(-1, 1) * linear.weight64()).sum(axis=0))
    return np.where(varies > 0, varies, 1.0)


def _powers_of_two(units: np.ndarray) -> np.ndarray:
    """Rounds the units of all groups; the unit of group 0 stays 1."""
    units = _rounded(units)
    units[PLAIN] = 1.0
    return units


def _rounded(units: np.ndarray) -> np.ndarray:
    """Rounds to the nearest power of two; 1 where a unit is not positive and finite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.round(np.log2(units))
    return np.exp2(np.where(np.isfinite(powers), powers, 0.0))
