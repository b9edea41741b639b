"""Rounding of weights to 8 bits, with biases that correct the mean error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.constants import add_initializer, float_constant
from graphs.ir.layout import moved
from graphs.ir.linear import Linear
from graphs.ir.rewrite import Rewrite
from graphs.precision.calibration import Ranges
from graphs.precision.channel_groups import scaled_linear
from graphs.precision.int8 import quantized


class RoundWeights(Rewrite):
    """Rounds weights to products of 8-bit numbers and steps, and subtracts the mean error from biases.

    Before::

        x ── Gemm(w, b) ── y

    After, where w' is w rounded and mean(x) was measured::

        x ── Gemm(w', b − mean(x)·(w' − w)) ── y

    The means of activations are large compared with their variation, so rounding errors of weights are mostly a shift,
    the same for all texts (Nagel et al. 2019, arXiv 1906.04721, section 4.2). The shift of a product without a bias is
    carried by the stream that it is added to, whose readers subtract it from their biases. The weights stay float32: a
    later pass finds the same 8-bit numbers.

    Args:
        ranges: The ranges of the graph that is rewritten, of which the means are used.
        wanted: Returns whether a product will be computed in 8 bits.
    """

    def __init__(self, ranges: Ranges, wanted: Callable[[Linear], bool]) -> None:
        super().__init__()
        self._ranges, self._wanted = ranges, wanted
        self._shifts: dict[ir.Value, np.ndarray] = {}

    def rewrite(self, model: ir.Model) -> None:
        self._shifts = {}
        for node in list(model.graph):
            if node.domain not in ("", "ai.onnx"):
                continue
            linear = scaled_linear(node)
            if linear is not None:
                self._linear(model.graph, linear)
            elif node.op_type == "Add":
                self._sum(model.graph, node)
            elif node.op_type == "Mul":
                self._product(node)
            elif node.inputs and node.inputs[0] in self._shifts:
                views = moved(self._shifts[node.inputs[0]], node)
                self._shifts.update(zip(node.outputs, views or (), strict=False))
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)

    def _linear(self, graph: ir.Graph, linear: Linear) -> None:
        node, weight = linear.node, linear.weight64()
        rounded = weight
        if self._wanted(linear):
            numbers, scales = quantized(weight, axis=0)
            rounded = numbers * scales.astype(np.float64)
            self._round(graph, linear, rounded)
        shift = np.zeros(linear.width)
        measured = self._ranges.get(str(linear.x.name))
        if measured is not None and measured.mean.size == len(weight) and np.isfinite(measured.mean).all():
            shift += measured.mean.reshape(-1) @ (rounded - weight)
        if linear.x in self._shifts and self._shifts[linear.x].size == len(weight):
            shift += self._shifts[linear.x].reshape(-1) @ rounded
        addend = node.inputs[2] if len(node.inputs) > 2 else None
        if addend is not None and self._subtract(graph, node, 2, shift):
            return
        if linear.x.shape is None:
            return
        shift = shift.reshape((1,) * (len(linear.x.shape) - 1) + (-1,))
        if addend is not None and addend in self._shifts:
            shift = shift + self._shifts[addend]
        if shift.any():
            self._shifts[node.outputs[0]] = shift

    def _round(self, graph: ir.Graph, linear: Linear, rounded: np.ndarray) -> None:
        dtype = linear.weight.dtype
        if dtype is None or len(linear.weight.uses()) > 1:  # a table with lookups is rounded by rows
            return
        array = (rounded.T if linear.transposed else rounded).astype(dtype.numpy())
        linear.node.replace_input_with(1, add_initializer(graph, f"{linear.weight.name}.rounded", array))
        self.matches += 1

    def _sum(self, graph: ir.Graph, node: ir.Node) -> None:
        found = [self._shifts.get(value) for value in node.inputs if value is not None]
        for index, value in enumerate(node.inputs):
            shift = found[1 - index]
            if shift is not None and float_constant(value) is not None:
                if not self._subtract(graph, node, index, shift):
                    self._shifts[node.outputs[0]] = shift
                return
        known = [shift for shift in found if shift is not None]
        if known:
            self._shifts[node.outputs[0]] = sum(known[1:], start=known[0])

    def _product(self, node: ir.Node) -> None:
        for index, value in enumerate(node.inputs):
            factor, shift = float_constant(node.inputs[1 - index]), self._shifts.get(value) if value else None
            if (
                factor is not None
                and shift is not None
                and np.broadcast_shapes(factor.shape, shift.shape) == shift.shape
            ):
                self._shifts[node.outputs[0]] = factor * shift

    def _subtract(self, graph: ir.Graph, node: ir.Node, index: int, shift: np.ndarray) -> bool:
        """Subtracts a shift from a constant summand; returns whether it has one number for each channel."""
        old = node.inputs[index]
        bias = float_constant(old)
        if old is None or bias is None or old.dtype is None:
            return False
        new = bias - shift.reshape(shift.shape[-1:] if shift.size == shift.shape[-1] else shift.shape)
        if new.size != shift.size:  # one row of constants for each token: the shift is subtracted from all
            return False
        if shift.any():
            name = f"{old.name}.shifted"
            node.replace_input_with(index, add_initializer(graph, name, new.astype(old.dtype.numpy())))
            self.matches += 1
        return True
