"""Linear layers: one view of MatMul and Gemm with a constant weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import constant, float_constant


@dataclass(frozen=True)
class Linear:
    """Linear layer y = x·weight + bias: a node whose weight (and bias, if any) is constant."""

    node: ir.Node
    x: ir.Value
    weight: ir.Value
    transposed: bool
    bias: ir.Value | None

    def weight64(self) -> np.ndarray:
        """The weight ``[in, out]`` in float64."""
        array = float_constant(self.weight)
        assert array is not None
        return array.T if self.transposed else array

    def bias64(self) -> np.ndarray | None:
        """The bias ``[out]`` in float64; None if there is none."""
        array = float_constant(self.bias)
        return None if array is None else np.broadcast_to(array.reshape(-1), (self.width,))

    @property
    def width(self) -> int:
        """The number of output channels."""
        return self._size(0 if self.transposed else 1)

    @property
    def depth(self) -> int:
        """The number of input channels."""
        return self._size(1 if self.transposed else 0)

    def _size(self, axis: int) -> int:
        # Of the value itself: the shape that a damaged file declares for it may be another one.
        assert self.weight.const_value is not None
        size = self.weight.const_value.shape[axis]
        assert isinstance(size, int)
        return size


def as_linear(node: ir.Node) -> Linear | None:
    """Returns the node as a linear layer; None for any other node, such as a product of two activations."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in ("MatMul", "Gemm"):
        return None
    x, weight = node.inputs[0], node.inputs[1]
    if x is None or weight is None or constant(x) is not None:
        return None
    if not is_float_matrix(weight):
        return None
    if node.op_type == "MatMul":
        return Linear(node, x, weight, transposed=False, bias=None)
    attributes = node.attributes
    scaled = any(attributes.get_float(name, 1.0) != 1.0 for name in ("alpha", "beta"))
    if scaled or attributes.get_int("transA", 0) != 0:
        return None
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    transposed = bool(attributes.get_int("transB", 0))
    linear = Linear(node, x, weight, transposed, bias)
    if bias is not None and not (is_vector(bias, linear.width)):
        return None
    return linear


def is_float_matrix(value: ir.Value) -> bool:
    array = constant(value)
    return array is not None and array.ndim == 2 and array.dtype.kind == "f"


def is_vector(value: ir.Value, width: int) -> bool:
    """Returns whether a value is a constant with one number per output channel, or one for all channels."""
    array = constant(value)
    return array is not None and array.size in (1, width) and (array.ndim == 0 or array.shape[-1] == array.size)
