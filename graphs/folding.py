"""Constant folding by onnxscript, of what is small."""

from __future__ import annotations

import math

import onnx_ir as ir
from onnxscript import optimizer

from graphs.constants import integers

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
        should_fold=_is_small_filling,
    )
    for value in (*model.graph.initializers.values(), *model.graph.outputs):
        value.metadata_props.pop(FOLDED_FROM, None)
    return bool(result.modified)


def _is_small_filling(node: ir.Node) -> bool | None:
    if node.op_type != "ConstantOfShape":
        return None
    shape = integers(node.inputs[0])
    return None if shape is None or math.prod(shape) > LARGEST_FILLED else True
