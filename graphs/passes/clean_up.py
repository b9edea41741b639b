"""What libraries do: constants folded, equal computations done once, what nothing reads removed."""

from __future__ import annotations

import math

import onnx_ir as ir
import onnx_ir.passes.common as common_passes
from onnxscript import optimizer

from graphs.constants import integers
from graphs.quiet import quiet
from graphs.rewrite import Rewrite

# Constants up to this many numbers (shapes, axes, split sizes) are shared where they are equal.
SMALL_CONSTANT = 16

# A result of up to this many numbers is written in the place of the nodes that compute it from constants.
LARGEST_FOLDED = 8192

# What exporters make of an empty padding is folded, too; larger ones stay a node, which is smaller than its result.
LARGEST_FILLED = 64


# What onnxscript would leave in the file.
FOLDED_FROM = "pkg.onnxscript.optimizer.folded_from"


class CleanUp(Rewrite):
    """Constant folding by onnxscript; common subexpressions, duplicate constants and unused nodes by onnx_ir.

    Before::

        x ─┬─ Transpose ── a          [2] ─┬─ Concat ── Reshape
           └─ Transpose ── b          [3] ─┘

    After::

        x ── Transpose ─┬─ a          [2, 3] ── Reshape
                        └─ b

    `matches` counts the nodes that are gone; it is 1 where only something else has changed.
    """

    def rewrite(self, model: ir.Model) -> None:
        before = model.graph.num_nodes()
        lift = common_passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)
        changed = lift(model).modified
        changed |= fold_small_constants(model)
        for clean in (
            lift,
            common_passes.DeduplicateInitializersPass(size_limit=SMALL_CONSTANT),
            common_passes.CommonSubexpressionEliminationPass(),
            common_passes.RemoveUnusedNodesPass(),
            common_passes.RemoveUnusedOpsetsPass(),
            common_passes.NameFixPass(),
        ):
            with quiet("onnx_ir"):  # which tells of each initializer that is an input or output
                changed |= clean(model).modified
        self.matches = max(int(changed), before - model.graph.num_nodes())


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
