"""Ranges of a graph's tensors on real texts: magnitudes, outliers, and the loss of fp16 and int8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.execution.types import Feed
from graphs.ir.constants import float_constant
from graphs.ir.layer_names import layer_of
from graphs.ir.layout import RULES
from graphs.ir.linear import Linear
from graphs.model.shape_inference import infer_sizes
from graphs.pipeline import optimize
from graphs.precision.calibration import FLOATS, Ranges, calibrate
from graphs.precision.channel_groups import ChannelGroups, scaled_linear
from graphs.precision.channel_scales import is_measured, loss_in_8_bits
from graphs.precision.float16 import LARGEST_HALF, LARGEST_SAFE
from graphs.precision.int8 import is_large
from graphs.reports.outliers import NAMED, Channel, Token, by_position, outliers, token_peaks

# float16's smallest normal number: smaller ones lose digits, and below 3e-8 become 0.
SMALLEST_HALF = float(np.finfo(np.float16).smallest_normal)

# Numbers as low as this are the mask, or masked scores: exporters add float32's lowest number, half of it, or −∞. No
# sum of activations reaches it in a working model.
MASKED = -1e37

# The fewest of 8 bits that the median token must keep where another token determines the step: with fewer, the other
# tokens have about a dozen steps, and most of their information is rounded away.
FEWEST_BITS = 4.0

# The largest expected error of a product in 8 bits, relative to the variation of its outputs.
LARGEST_ERROR = 0.1

# The operators between scores and softmax: a factor, a mask.
BEFORE_SOFTMAX = frozenset(("Add", "Mul", "Div", "Where", *RULES))

# Operators that only move numbers, or change their type.
MOVING = frozenset((*RULES, "Flatten", "Expand", "Cast", "CastLike", "Constant"))


@dataclass(frozen=True)
class Numbers:
    """Statistics of one tensor on all texts, without masked numbers (below −1e37).

    Args:
        name: The name from `graphs.passes.naming.name_nodes`, such as `layer.3/Gemm_2`; of a weight, its own.
        layer: `layer.3`, `embeddings` or `head`.
        kind: `activation`, or `weight`.
        op: The operator that writes the activation, or reads the weight.
        low, high, rms: The smallest and the largest number, and the root mean square; not finite if one number is not.
        overflow: The share of numbers beyond ±65504, float16's largest, or not finite. (Numbers up to 65520 would still
            be rounded to it.)
        underflow: The share of nonzero numbers below 6.1e-5, which float16 stores with fewer digits, or as 0. It is 0
            for attention scores, since softmax does not depend on such small differences.
        channel_outliers: The number of channels whose peak is at least `outliers.OUTLIER` times the median one's.
        channels: The outlier channels with the largest peaks.
        token_outliers: The number of outlier tokens in all texts.
        tokens: The positions of outlier tokens, those with the largest peaks first.
        bits: For the input of a product in 8 bits: the number of the 8 bits that the median token keeps with one step
            for the tensor, 8 − log2(the tensor's peak / the median token's peak). None for all other tensors.
        error: For the input of a product in 8 bits: the expected error of the product relative to the variation of its
            outputs, as `channel_scales` computes it; the largest of several products. None for all other tensors.
    """

    name: str
    layer: str
    kind: str
    op: str
    low: float
    high: float
    rms: float
    overflow: float
    underflow: float
    channel_outliers: int = 0
    channels: list[Channel] = field(default_factory=list)
    token_outliers: int = 0
    tokens: list[Token] = field(default_factory=list)
    bits: float | None = None
    error: float | None = None

    @property
    def peak(self) -> float:
        """The largest magnitude; infinite if a number is not finite."""
        peak = max(abs(self.low), abs(self.high))
        return peak if np.isfinite(peak) and np.isfinite(self.rms) else float("inf")

    @property
    def overflows(self) -> bool:
        """True if some numbers are beyond float16's range."""
        return self.overflow > 0

    @property
    def safe_in_fp16(self) -> bool:
        """True if the peak is at most an eighth of float16's largest number, which leaves room for other texts.

        The peak of a weight, which is the same for all texts, may be float16's largest number itself.
        """
        return self.peak <= (LARGEST_HALF if self.kind == "weight" else LARGEST_SAFE)

    @property
    def safe_in_int8(self) -> bool:
        """True if the median token keeps at least `FEWEST_BITS`, and the expected error is at most `LARGEST_ERROR`."""
        kept = self.bits is None or self.bits >= FEWEST_BITS
        return kept and (self.error is None or self.error <= LARGEST_ERROR)


def as_is(model: ir.Model) -> ir.Model:
    """Returns a copy of a model with the same nodes, names by layer, known sizes and inlined functions."""
    copy = model.clone()
    common_passes.InlinePass()(copy)
    named = optimize(copy, only=("name-weights", "name-nodes"), functions=False, compare=False).model
    infer_sizes(named)
    return named


def measure_numbers(model: ir.Model, feeds: Sequence[Feed]) -> list[Numbers]:
    """Runs a graph on texts, and measures its activations and weights, in the order of its nodes.

    Results of operators that only move numbers are left out, and so are masks.

    Args:
        model: A float32 model, with names and sizes as `as_is` and `graphs.reports.layer_errors.prepare` leave them.
        feeds: The inputs, one feed for each run.

    Raises onnxruntime's errors.
    """
    graph = model.graph
    channels = ChannelGroups(graph)
    values = [output for node in graph for output in node.outputs if _is_computed(node, output)]
    products = [linear for node in graph if (linear := scaled_linear(node)) and is_large(linear)]
    scores = _scores(graph)
    found = {str(value.name): _Count(loses_small=value not in scores) for value in values}

    def count(value: ir.Value, array: np.ndarray, feed: Feed) -> None:
        if str(value.name) in found and array.size:
            found[str(value.name)].add(array, feed)

    ranges = calibrate(model, feeds, channels, {*values, *(linear.x for linear in products)}, also=count)
    errors = _errors(products, ranges)
    numbers: list[Numbers] = []
    weights = set[ir.Value]()
    for node in graph:
        for value in node.inputs:
            if value is not None and value not in weights and node.op_type not in MOVING - {"Gather", "Slice"}:
                weights.add(value)
                numbers += _weight(node, value)
        for value in node.outputs:
            name = str(value.name)
            if name in found and found[name].total and name in ranges:
                peaks = ranges[name].channels.reshape(-1) if _has_channels(value, channels) else np.zeros(0)
                numbers.append(found[name].numbers(node, name, peaks, errors.get(value)))
    return numbers


def _is_computed(node: ir.Node, output: ir.Value) -> bool:
    """Returns whether a node computes new numbers, and does not only move another value's."""
    looked_up = node.op_type in ("Gather", "Slice") and float_constant(node.inputs[0]) is not None
    return bool(output.name) and output.dtype in FLOATS and (node.op_type not in MOVING or looked_up)


def _has_channels(value: ir.Value, channels: ChannelGroups) -> bool:
    """Returns whether the last axis of a value is channels, unlike that of attention scores of a fixed length."""
    if channels.of(value) is not None:
        return True
    shape = value.shape
    return shape is not None and len(shape) in (2, 3) and isinstance(shape[-1], int)


def _errors(products: Sequence[Linear], ranges: Ranges) -> dict[ir.Value, float]:
    """Returns the expected errors of products in 8 bits, by their inputs."""
    errors: dict[ir.Value, float] = {}
    for linear in products:
        measured = ranges.get(str(linear.x.name))
        if measured is None or not is_measured(linear, measured):
            continue
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            error = float(np.sqrt(loss_in_8_bits(linear, measured, np.ones(measured.channels.size))))
        value = _source(linear.x)
        errors[value] = max(errors.get(value, 0.0), error if np.isfinite(error) else np.inf)
    return errors


def _scores(graph: ir.Graph) -> set[ir.Value]:
    """Returns the values that only softmax reads, through scales, masks and moves: attention scores."""
    scores = set[ir.Value]()
    for node in reversed(list(graph)):
        for output in node.outputs:
            readers = output.consumers()
            if (
                readers
                and not output.is_graph_output()
                and all(
                    reader.op_type == "Softmax" or (reader.op_type in BEFORE_SOFTMAX and reader.outputs[0] in scores)
                    for reader in readers
                )
            ):
                scores.add(output)
    return scores


def _source(value: ir.Value) -> ir.Value:
    """Returns the computed value whose numbers a value holds, before operators that only move them."""
    node = value.producer()
    while node is not None and node.op_type in MOVING and not _is_computed(node, value) and node.inputs:
        source = node.inputs[0]
        if source is None:
            break
        value, node = source, source.producer()
    return value


def _weight(node: ir.Node, value: ir.Value) -> list[Numbers]:
    """Returns a weight's statistics; an empty list for a single number, and for a value that is not a weight."""
    array = float_constant(value)
    if array is None or array.size < 2:
        return []
    sizes = np.abs(array)
    return [
        Numbers(
            name=str(value.name),
            layer=layer_of(node),
            kind="weight",
            op=node.op_type,
            low=float(array.min()),
            high=float(array.max()),
            rms=float(np.sqrt(np.mean(np.square(array)))),
            overflow=_overflowing(sizes) / array.size,
            underflow=_underflowing(sizes) / array.size,
        )
    ]


def _overflowing(sizes: np.ndarray) -> int:
    return int(sizes.size - np.count_nonzero(sizes <= LARGEST_HALF))  # false for NaN


def _underflowing(sizes: np.ndarray) -> int:
    return int(np.count_nonzero(sizes < SMALLEST_HALF) - np.count_nonzero(sizes == 0.0))


@dataclass
class _Count:
    """Accumulator of one activation's statistics, text by text."""

    loses_small: bool
    """True if small numbers, which float16 stores with fewer digits, count as underflow."""
    total: int = 0
    low: float = np.inf
    high: float = -np.inf
    squares: float = 0.0
    overflow: int = 0
    underflow: int = 0
    texts: int = 0
    tokens: list[np.ndarray] = field(default_factory=list)
    """For each feed: text, position, id and peak of each token, ``[4, tokens]``."""

    def add(self, array: np.ndarray, feed: Feed) -> None:
        sizes = np.abs(array)
        numbers = array
        if array.min() <= MASKED:  # false for NaN
            real = ~(array <= MASKED)
            sizes = np.where(real, sizes, 0.0)
            numbers = array[real]
        if numbers.size:
            self.total += numbers.size
            self.low = float(np.minimum(self.low, numbers.min()))  # keeps NaN
            self.high = float(np.maximum(self.high, numbers.max()))
            with np.errstate(over="ignore"):
                self.squares += float(np.square(numbers, dtype=np.float64).sum())
            self.overflow += _overflowing(sizes)
            self.underflow += _underflowing(sizes) if self.loses_small else 0
        self._add_tokens(sizes, feed)

    def _add_tokens(self, sizes: np.ndarray, feed: Feed) -> None:
        ids = feed.get("input_ids")
        if ids is None:
            return
        length, flat = ids.shape[-1], ids.reshape(-1)
        peaks = token_peaks(sizes, length, ids.size)
        if peaks is not None:
            real = feed.get("attention_mask", np.ones_like(ids)).reshape(-1).astype(bool)
            rows = self.texts + np.arange(ids.size) // length
            self.tokens.append(np.stack([rows, np.arange(ids.size) % length, flat, peaks])[:, real].astype(np.float64))
        self.texts += ids.size // length

    def numbers(self, node: ir.Node, name: str, peaks: np.ndarray, error: float | None) -> Numbers:
        """Returns the statistics; `peaks` are the channels' peaks, `error` is that of the products in 8 bits."""
        tokens = np.concatenate(self.tokens, axis=1) if self.tokens else np.zeros((4, 0))
        hot, times = outliers(peaks)
        largest = sorted(hot, key=lambda channel: -peaks[channel])[:NAMED]
        hot_tokens, token_times = outliers(tokens[3])
        return Numbers(
            name=name,
            layer=layer_of(node),
            kind="activation",
            op=node.op_type,
            low=self.low,
            high=self.high,
            rms=float(np.sqrt(self.squares / self.total)),
            overflow=self.overflow / self.total,
            underflow=self.underflow / self.total,
            channel_outliers=len(hot),
            channels=[Channel(int(channel), float(peaks[channel]), float(times[channel])) for channel in largest],
            token_outliers=len(hot_tokens),
            tokens=by_position(tokens[:, hot_tokens], token_times[hot_tokens]),
            bits=None if error is None else _bits(tokens[3]),
            error=error,
        )


def _bits(peaks: np.ndarray) -> float | None:
    """Returns the number of 8 bits that the median token keeps; None where tokens are not known."""
    usual, largest = (float(np.median(peaks)), float(peaks.max())) if peaks.size else (0.0, 0.0)
    if not usual > 0:
        return None
    return float(np.clip(8 - np.log2(largest / usual), 0.0, 8.0)) if np.isfinite(largest) else 0.0
