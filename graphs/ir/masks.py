"""Attention masks as our graphs have them: what is added to the scores."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import float_constant


def lowest_half(dtype: ir.DataType) -> float:
    """What padding gets: half of the lowest number, which swamps every score, and to which scores can be added."""
    return float(np.finfo(dtype.numpy()).min) / 2


def masked_scores(node: ir.Node) -> ir.Node | None:
    """The Add before a softmax over rows of attention scores, if there is one."""
    if node.op_type != "Softmax" or node.domain != "" or node.inputs[0] is None:
        return None
    add = node.inputs[0].producer()
    rank = None if add is None or add.outputs[0].shape is None else len(add.outputs[0].shape)
    if add is None or add.op_type != "Add" or add.domain != "" or rank != 4:
        return None
    return add if node.attributes.get_int("axis", -1) in (-1, 3) else None


def is_padding_bias(value: ir.Value) -> bool:
    """Whether a value is what `graphs.passes.canonicalize.simplify_mask` writes: finite, whatever the mask."""
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
    """Whether a value is integers, with dimensions added."""
    node = None if value is None else value.producer()
    while node is not None and node.domain == "" and node.op_type == "Unsqueeze":
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    if node is None or node.domain != "" or node.op_type != "Cast" or node.inputs[0] is None:
        return False
    return node.inputs[0].dtype in (ir.DataType.INT64, ir.DataType.INT32)
