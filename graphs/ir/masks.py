"""Attention masks of rewritten graphs: the values that are added to the attention scores."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import float_constant


def lowest_half(dtype: ir.DataType) -> float:
    """Returns the mask's value at padding: half of the type's lowest number, so that adding a score stays finite."""
    return float(np.finfo(dtype.numpy()).min) / 2


def masked_scores(node: ir.Node) -> ir.Node | None:
    """Returns the Add of a mask to the scores that a softmax over rows reads; None if there is none."""
    if node.op_type != "Softmax" or node.domain != "" or node.inputs[0] is None:
        return None
    add = node.inputs[0].producer()
    rank = None if add is None or add.outputs[0].shape is None else len(add.outputs[0].shape)
    if add is None or add.op_type != "Add" or add.domain != "" or rank != 4:
        return None
    return add if node.attributes.get_int("axis", -1) in (-1, 3) else None


def is_padding_bias(value: ir.Value) -> bool:
    """Returns whether `graphs.passes.canonicalize.simplify_mask` wrote this value, which is finite for every mask."""
    mul = value.producer()
    if mul is None or mul.op_type != "Mul" or mul.domain != "":
        return False
    factor = float_constant(mul.inputs[1])
    sub = None if mul.inputs[0] is None else mul.inputs[0].producer()
    one = None if sub is None or sub.op_type != "Sub" or sub.domain != "" else float_constant(sub.inputs[0])
    if factor is None or factor.size != 1 or one is None or one.size != 1 or one.item() != 1 or value.dtype is None:
        return False
    return bool(factor.item() == lowest_half(value.dtype)) and sub is not None and _is_integer_mask(sub.inputs[1])


def _is_integer_mask(value: ir.Value | None) -> bool:
    """Returns whether a value is an integer tensor, with dimensions added."""
    node = None if value is None else value.producer()
    while node is not None and node.domain == "" and node.op_type == "Unsqueeze":
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    if node is None or node.domain != "" or node.op_type != "Cast" or node.inputs[0] is None:
        return False
    return node.inputs[0].dtype in (ir.DataType.INT64, ir.DataType.INT32)
