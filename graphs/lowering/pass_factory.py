"""Factory of the passes that lower the precision, each with measurements of the graph as it then is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import onnx_ir as ir

from graphs.execution.types import Feed
from graphs.ir.layer_names import in_layers
from graphs.ir.linear import Linear
from graphs.ir.matching import is_of_one_token, only_relu_of
from graphs.ir.rewrite import Rewrite
from graphs.lowering.bit_search import Plan, search
from graphs.passes.lower.equalize_input import EqualizeInput
from graphs.passes.lower.halve import Halve
from graphs.passes.lower.quantize_dynamic import QuantizeDynamic
from graphs.passes.lower.quantize_static import QuantizeStatic
from graphs.passes.lower.quantize_table import QuantizeTable
from graphs.passes.lower.rescale import Rescale
from graphs.passes.lower.round_weights import RoundWeights
from graphs.precision.calibration import Ranges, calibrate
from graphs.precision.channel_groups import ChannelGroups, scaled_linear
from graphs.precision.channel_scales import units_for_half, units_for_int8
from graphs.precision.clipping import best_intervals, whole_intervals
from graphs.precision.int8 import Interval, is_large

# Means need fewer texts than the ends of ranges do: the calibration texts are divided by this number.
TEXTS_FOR_MEANS = 4


class Lowering:
    """Builder of the passes of one precision.

    Args:
        precision: `fp16` or `int8`.
        target: For `mobile`, quantization steps are constants.
        calibration: Inputs of real texts, one text each.
        keep_float: Layers that stay float32.
    """

    def __init__(
        self,
        precision: str,
        target: str,
        calibration: Sequence[Feed],
        keep_float: Collection[str] = (),
    ) -> None:
        self.plan: Plan | None = None  # of int8 for phones, once it has been searched
        self._precision, self._target, self._calibration, self._keep = precision, target, calibration, keep_float

    def wanted(self, linear: Linear) -> bool:
        """Returns whether a product is to be computed in 8 bits.

        A pooler's stays float32 unless quantization steps are constants: it has one row per text, which takes no time,
        and a step at run time is that of all texts of a batch, so that answers would depend on the other texts.
        """
        if not is_large(linear) or in_layers(linear.node, self._keep):
            return False
        return self._target == "mobile" or not is_of_one_token(linear.x)

    def build(self, kind: type[Rewrite], model: ir.Model) -> Rewrite | None:
        """Builds a pass for the model as it is now; None for a class that does not lower the precision."""
        makers: dict[type[Rewrite], Callable[[ir.Model], Rewrite]] = {
            Rescale: self._rescale,
            EqualizeInput: self._equalize_input,
            RoundWeights: self._round_weights,
            Halve: self._halve,
            QuantizeTable: lambda _: QuantizeTable(self._keep, products=self._target != "mobile"),
            QuantizeDynamic: lambda _: QuantizeDynamic(self.wanted, self._keep),
            QuantizeStatic: self._quantize_static,
        }
        return makers[kind](model) if kind in makers else None

    def _linears(self, model: ir.Model) -> list[Linear]:
        return [linear for node in model.graph if (linear := scaled_linear(node)) and self.wanted(linear)]

    def _rescale(self, model: ir.Model) -> Rewrite:
        channels = ChannelGroups(model.graph)
        ranges = calibrate(model, self._calibration, channels)
        if self._precision == "fp16":
            return Rescale(channels, units_for_half(channels, ranges))
        return Rescale(channels, units_for_int8(channels, ranges, self._linears(model)))

    def _equalize_input(self, model: ir.Model) -> Rewrite:
        channels = ChannelGroups(model.graph)
        read = {linear.x for linear in self._linears(model)}
        return EqualizeInput(calibrate(model, self._calibration, channels, read), channels, self.wanted)

    def _round_weights(self, model: ir.Model) -> Rewrite:
        return RoundWeights(self.means(model), self.wanted)

    def means(self, model: ir.Model) -> Ranges:
        """Measures ranges, with means over real tokens, of the inputs of the products."""
        read = {linear.x for linear in self._linears(model)}
        return calibrate(model, self._calibration[::TEXTS_FOR_MEANS], ChannelGroups(model.graph), read)

    def _halve(self, model: ir.Model) -> Rewrite:
        return Halve(calibrate(model, self._calibration, ChannelGroups(model.graph)), self._keep)

    def _quantize_static(self, model: ir.Model) -> Rewrite:
        intervals = self.intervals(model)
        self.plan = search(model, self.wanted, intervals, self._calibration)
        return QuantizeStatic(intervals, self.plan.bits)

    def intervals(self, model: ir.Model) -> dict[int, dict[str, Interval]]:
        """Returns the intervals of 8 and 16 bits, of the inputs and outputs of the products."""
        values = set[ir.Value]()
        for linear in self._linears(model):
            y = linear.node.outputs[0]
            relu = only_relu_of(y)
            values |= {linear.x, y if relu is None else relu.outputs[0]}
        ranges = calibrate(model, self._calibration, ChannelGroups(model.graph), values)
        return {8: best_intervals(model, self._calibration, ranges, values), 16: whole_intervals(ranges)}
