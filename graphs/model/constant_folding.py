"""Constant folding by onnxscript, of what is small."""

from __future__ import annotations

import math

import onnx_ir as ir
from onnxscript import optimizer

from graphs.ir.constants import constant, integers
from graphs.model.precision_of import HALVES

# A result of up to this many numbers is written in the place of the nodes that compute it from constants.
LARGEST_FOLDED = 8192

# What exporters make of an empty padding is folded, too; larger ones stay a node, which is smaller than its result.
LARGEST_FILLED = 64

# What onnxscript would leave in the file.
FOLDED_FROM = "pkg.onnxscript.optimizer.folded_from"


def fold_small_constants(model: ir.Model, largest: int = LARGEST_FOLDED) -> bool:
    """Computes what hangs on constants alone, if it is small; tells whether there was any."""
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
    return True if _is_small_filling(node) or _widens_weight(node) else None


def _is_small_filling(node: ir.Node) -> bool:
    shape = integers(node.inputs[0]) if node.op_type == "ConstantOfShape" else None
    return shape is not None and math.prod(shape) <= LARGEST_FILLED


def _widens_weight(node: ir.Node) -> bool:
    """A weight that is kept in half precision and computed with in single: no pass finds it behind its Cast."""
    kept = node.inputs[0] if node.op_type == "Cast" else None
    wide = node.attributes.get_int("to", 0) == ir.DataType.FLOAT
    return kept is not None and wide and constant(kept) is not None and kept.dtype in HALVES
