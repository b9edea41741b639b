"""8-bit quantization: intervals, rounding of weights, and the nodes of a dynamic product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphs.ir.linear import Linear

# The largest 8-bit number of a weight; the range is symmetric, so that 0 stays 0.
LARGEST = 127

# Products of fewer inputs or outputs than this stay float32: a head of two labels takes no time, and its error is the
# error of the answer.
SMALLEST_PRODUCT = 32


# The unsigned types of quantized activations, by number of bits.
UNSIGNED = {8: ir.DataType.UINT8, 16: ir.DataType.UINT16}


@dataclass(frozen=True)
class Interval:
    """Interval of a quantized activation's numbers, which contains 0."""

    low: float
    high: float

    def step(self, bits: int) -> float:
        """Returns the quantization step, rounded to float32; 1 for an interval of one number."""
        width = max(self.high, 0.0) - min(self.low, 0.0)
        step = float(np.float32(width / (2**bits - 1)))
        return step if np.isfinite(step) and step > 0 else 1.0

    def zero(self, bits: int) -> int:
        """Returns the zero point: the whole number that represents 0."""
        return int(np.clip(round(-min(self.low, 0.0) / self.step(bits)), 0, 2**bits - 1))


def is_large(linear: Linear) -> bool:
    """Returns whether a product is large enough to be worth 8 bits."""
    return min(linear.width, linear.depth) >= SMALLEST_PRODUCT


def quantized(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns int8 numbers and float32 scales, one for all numbers along `axis`, with the nearest product."""
    largest = np.abs(array).max(axis=axis, initial=0.0)
    scales = (largest / LARGEST).astype(np.float32)
    scales[scales == 0.0] = 1.0
    steps = np.expand_dims(scales.astype(np.float64), axis)
    return np.clip(np.round(array / steps), -LARGEST, LARGEST).astype(np.int8), scales


def quantized_product(before: ir.Node, x: ir.Value, weight: ir.Value, scale: ir.Value) -> ir.Value:
    """Inserts the nodes that `graphs.functions.dynamic_product` writes as text."""
    quantize = ir.node("DynamicQuantizeLinear", [x], num_outputs=3)
    assert before.graph is not None
    before.graph.insert_before(before, quantize)
    numbers, step, zero = quantize.outputs
    whole = insert(before, "MatMulInteger", [numbers, weight, zero])
    real = insert(before, "Cast", [whole], to=int(ir.DataType.FLOAT))
    return insert(before, "Mul", [real, insert(before, "Mul", [step, scale])])


def insert(before: ir.Node, op_type: str, inputs: list[ir.Value], **attributes: int) -> ir.Value:
    """Inserts a node of one output before another; returns the output."""
    node = ir.node(op_type, inputs, attributes=attributes)
    assert before.graph is not None
    before.graph.insert_before(before, node)
    return node.outputs[0]
