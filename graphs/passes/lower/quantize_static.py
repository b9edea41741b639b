"""Matrix products in 8 bits with constant steps, as phones' neural processors compute them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.constants import add_initializer, float_constant
from graphs.ir.linear import Linear
from graphs.ir.matching import only_relu_of
from graphs.ir.rewrite import Rewrite, replace
from graphs.precision.channel_groups import scaled_linear
from graphs.precision.int8 import UNSIGNED, Interval, quantized

# The largest bias as a whole number: half of int32's range, so that the sum of products has room.
LARGEST_BIAS = 2.0**30

# From this opset on ONNX's own quantizers support 16 bits; before, onnxruntime's do.
OPSET_OF_16_BITS = 21
MICROSOFT = "com.microsoft"


class QuantizeStatic(Rewrite):
    """Quantizes weights to 8 bits and activations to 8 or 16, as pairs of QuantizeLinear and DequantizeLinear.

    Before::

        x ── Gemm(w, b) ── Relu ── y

    After, where Q is QuantizeLinear and DQ DequantizeLinear::

        x ── Q ── DQ ── Gemm(DQ(int8 w), DQ(int32 b)) ── Q ── DQ ── y

    A provider that computes in 8 bits takes DQ, Gemm and Q as one node, if x and y have the same number of bits. The
    second Q replaces the Relu: its interval begins at 0, and lower numbers are clipped.

    Args:
        intervals: The intervals of values, by number of bits and name.
        bits: Returns the bits of a product's activations, 8 or 16; None for one that stays float.
        weights: Whether weights become whole numbers, too. False suffices to measure the damage of weights that are
            rounded already.
    """

    def __init__(
        self,
        intervals: Mapping[int, Mapping[str, Interval]],
        bits: Callable[[Linear], int | None],
        *,
        weights: bool = True,
    ) -> None:
        super().__init__()
        self._intervals, self._bits, self._weights = intervals, bits, weights
        self._known: dict[tuple[ir.Value, int], ir.Value] = {}
        self._interval_of: dict[tuple[ir.Value, int], Interval] = {}
        self._zero_points: dict[int, ir.Value] = {}

    def rewrite(self, model: ir.Model) -> None:
        self._known, self._zero_points = {}, {}
        values = [output for node in model.graph for output in node.outputs]
        self._interval_of = {
            (value, bits): named[value.name]
            for bits, named in self._intervals.items()
            for value in values
            if value.name is not None and value.name in named
        }
        self._domain_of_16 = "" if model.opset_imports[""] >= OPSET_OF_16_BITS else MICROSOFT
        for node in list(model.graph):
            linear = scaled_linear(node)
            bits = None if linear is None else self._bits(linear)
            if linear is not None and bits is not None:
                self._linear(model.graph, linear, bits)
        if self.matches:
            if any(node.domain == MICROSOFT for node in model.graph):
                model.opset_imports.setdefault(MICROSOFT, 1)
            common_passes.RemoveUnusedNodesPass()(model)

    def _linear(self, graph: ir.Graph, linear: Linear, bits: int) -> None:
        node, x, y = linear.node, linear.x, linear.node.outputs[0]
        relu = only_relu_of(y)
        result = y if relu is None else relu.outputs[0]
        intervals = [self._interval_of.get((value, bits)) for value in (x, result)]
        if intervals[0] is None or intervals[1] is None:
            self.miss(node, "its input or output was not measured, or is infinite; expected finite numbers")
            return
        if len(node.inputs) > 2 and float_constant(node.inputs[2]) is None:
            self.miss(node, "it adds a residual; expected a bias, or an Add of its own after it")
            return
        inputs: list[ir.Value | None] = [self._activation(graph, node, x, intervals[0], bits)]
        inputs += (
            self._quantized_weights(graph, linear, intervals[0].step(bits)) if self._weights else list(node.inputs)[1:]
        )
        attributes = {} if self._weights else dict(node.attributes)
        # Gemm, since onnxruntime turns MatMul with 16 bits into MatMulNBits, which rounds its input to 8 bits.
        plain = x.shape is not None and len(x.shape) == 2
        product = ir.node("Gemm" if plain else node.op_type, inputs, attributes=attributes)
        graph.insert_before(node, product)
        product.outputs[0].shape, product.outputs[0].type = result.shape, result.type
        product.outputs[0].name = f"{result.name}.exact"
        real = self._between(graph, node, product.outputs[0], str(result.name), intervals[1], bits)
        self._known[(real, bits)] = real
        for other in self._intervals:  # for readers with other bits
            if (result, other) in self._interval_of:
                self._interval_of[(real, other)] = self._interval_of[(result, other)]
        replace(result, real)
        graph.remove([node] if relu is None else [relu, node], safe=True)
        self.matches += 1

    def _quantized_weights(self, graph: ir.Graph, linear: Linear, step: float) -> list[ir.Value | None]:
        """Returns the int8 weight and the int32 bias, if there is one, for an input with this step."""
        node, name = linear.node, str(linear.weight.name)
        weight = linear.weight64()
        numbers, scales = quantized(weight, axis=0)
        bias = float_constant(node.inputs[2]) if len(node.inputs) > 2 else None
        if bias is None:
            return [self._constant(graph, node, f"{name}.int8", numbers, scales)]
        bias = np.broadcast_to(bias.reshape(-1), (linear.width,))
        # Where a column's weights are almost 0, the bias would exceed `LARGEST_BIAS` of their steps.
        least = (np.abs(bias) / (step * LARGEST_BIAS)).astype(np.float32)
        tight = least > scales
        scales = np.maximum(scales, least)
        numbers[:, tight] = np.round(weight[:, tight] / scales[tight].astype(np.float64)).astype(np.int8)
        steps = (scales * np.float32(step)).astype(np.float32)
        whole = np.round(bias / steps.astype(np.float64)).astype(np.int32)
        return [
            self._constant(graph, node, f"{name}.int8", numbers, scales),
            self._constant(graph, node, f"{name}.bias", whole, steps),
        ]

    def _activation(self, graph: ir.Graph, before: ir.Node, x: ir.Value, interval: Interval, bits: int) -> ir.Value:
        """Returns an activation quantized and dequantized, once for all its readers."""
        if (x, bits) not in self._known:
            self._known[(x, bits)] = self._between(graph, before, x, str(x.name), interval, bits)
        return self._known[(x, bits)]

    def _between(
        self, graph: ir.Graph, before: ir.Node, x: ir.Value, name: str, interval: Interval, bits: int
    ) -> ir.Value:
        """Inserts a quantizer of x and its inverse; returns the result."""
        kind = UNSIGNED[bits]
        step = add_initializer(graph, f"{name}.step", np.array(interval.step(bits), np.float32))
        zero = add_initializer(graph, f"{name}.zero", np.array(interval.zero(bits), kind.numpy()))
        domain = self._domain_of_16 if bits == 16 else ""
        whole = ir.Value(shape=x.shape, type=ir.TensorType(kind))
        real = ir.Value(shape=x.shape, type=x.type)
        nodes = [
            ir.node("QuantizeLinear", [x, step, zero], domain=domain, outputs=[whole]),
            ir.node("DequantizeLinear", [whole, step, zero], domain=domain, outputs=[real]),
        ]
        graph.insert_before(before, nodes)
        return real

    def _constant(
        self, graph: ir.Graph, before: ir.Node, name: str, numbers: np.ndarray, scales: np.ndarray
    ) -> ir.Value:
        """Inserts whole numbers ``[…, out]``, dequantized with a step for each output.

        A weight's zero point of 0 is written, since without it onnxruntime does not compute in whole numbers.
        """
        inputs = [add_initializer(graph, name, numbers), add_initializer(graph, f"{name}.scale", scales)]
        if numbers.dtype == np.int8:
            inputs.append(self._zeros(graph, scales.size))
        node = ir.node("DequantizeLinear", inputs, attributes={"axis": numbers.ndim - 1})
        node.outputs[0].shape, node.outputs[0].type = ir.Shape(numbers.shape), ir.TensorType(ir.DataType.FLOAT)
        graph.insert_before(before, node)
        return node.outputs[0]

    def _zeros(self, graph: ir.Graph, width: int) -> ir.Value:
        """Returns the zero points that all weights of this width share."""
        if width not in self._zero_points:
            self._zero_points[width] = add_initializer(graph, f"zero_points.{width}", np.zeros(width, np.int8))
        return self._zero_points[width]
