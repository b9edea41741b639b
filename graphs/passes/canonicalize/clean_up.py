"""What libraries do: constants folded, equal computations done once, what nothing reads removed."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.rewrite import Rewrite
from graphs.model.constant_folding import fold_small_constants
from graphs.model.quiet import quiet

# Constants up to this many numbers (shapes, axes, split sizes) are shared where they are equal.
SMALL_CONSTANT = 16


class CleanUp(Rewrite):
    """Constant folding by onnxscript; common subexpressions, duplicate constants and unused nodes by onnx_ir.

    Before::

        x ─┬─ Transpose ── a          [2] ─┬─ Concat ── Reshape
           └─ Transpose ── b          [3] ─┘

    After::

        x ── Transpose ─┬─ a          [2, 3] ── Reshape
                        └─ b

    Weights that are kept in half precision and computed with in single become float32, whatever their size: behind a
    Cast no pass would find them.

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
