"""Clean-up by libraries: constant folding, common subexpressions, unused nodes."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.rewrite import Rewrite
from graphs.model.constant_folding import fold_small_constants
from graphs.model.quiet import quiet

# Equal constants of up to this many numbers (shapes, axes, split sizes) become one.
SMALL_CONSTANT = 16


class CleanUp(Rewrite):
    """Folds constants, and removes common subexpressions, duplicate constants and unused nodes.

    Before::

        x ─┬─ Transpose ── a          [2] ─┬─ Concat ── Reshape
           └─ Transpose ── b          [3] ─┘

    After::

        x ── Transpose ─┬─ a          [2, 3] ── Reshape
                        └─ b

    onnxscript folds constants; onnx_ir does the rest. Weights that are stored in half precision and cast to float32
    become float32, whatever their size, since no pass would find a weight behind a Cast.

    `matches` is the number of removed nodes; it is 1 where the graph has changed in another way.
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
            with quiet("onnx_ir"):  # which logs each initializer that is an input or output
                changed |= clean(model).modified
        self.matches = max(int(changed), before - model.graph.num_nodes())
