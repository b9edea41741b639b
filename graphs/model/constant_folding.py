"""Constant folding by onnxscript, of small results."""

from __future__ import annotations

import math

import onnx_ir as ir
from onnxscript import optimizer

from graphs.ir.constants import constant, integers
from graphs.model.precision_of import HALVES

# A result of up to this many numbers replaces the nodes that compute it from constants.
LARGEST_FOLDED = 8192

# A ConstantOfShape of up to this many numbers, such as an empty padding, is folded; a larger one stays a node, which is
# smaller than its result.
LARGEST_FILLED = 64

# The metadata that onnxscript leaves, removed before the file is written.
FOLDED_FROM = "pkg.onnxscript.optimizer.folded_from"


def fold_small_constants(model: ir.Model, largest: int = LARGEST_FOLDED) -> bool:
    """Replaces nodes that depend on constants only by their small results; returns whether there were any."""
    result = optimizer.fold_constants_ir(
        model,
        onnx_shape_inference=False,
        input_size_limit=largest,
        output_size_limit=largest,
        should_fold=_is_folded,
    )
    for value in (*model.graph.initializers.values(), *model.graph.outputs):
        value.metadata_props.pop(FOLDED_FROM, None)
    return bool(result.modified)


def _is_folded(node: ir.Node) -> bool | None:
    return True if _is_small_filling(node) or _widens_weight(node) or _scales_weight(node) else None


def _is_small_filling(node: ir.Node) -> bool:
    shape = integers(node.inputs[0]) if node.op_type == "ConstantOfShape" else None
    return shape is not None and math.prod(shape) <= LARGEST_FILLED


def _widens_weight(node: ir.Node) -> bool:
    """Returns whether a Cast widens a weight stored in half precision or int8.

    Unfolded, no pass would find the weight.
    """
    kept = node.inputs[0] if node.op_type == "Cast" else None
    wide = node.attributes.get_int("to", 0) == ir.DataType.FLOAT
    return kept is not None and wide and constant(kept) is not None and kept.dtype in (*HALVES, ir.DataType.INT8)


def _scales_weight(node: ir.Node) -> bool:
    """Returns whether a Mul gives each row of a weight its scale, as after a Cast of int8."""
    if node.op_type != "Mul" or any(value is None or constant(value) is None for value in node.inputs):
        return False
    weight, scale = (value.shape for value in node.inputs if value is not None)
    return weight is not None and scale is not None and len(weight) == 2 and tuple(scale) == (weight[0], 1)
