"""Merge of chains of transposes and reshapes."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common_passes
from onnxscript.rewriter import pattern
from onnxscript.rewriter.rules import common as rules

from graphs.ir.constants import sliced
from graphs.ir.rewrite import Rewrite, replace
from graphs.model.sizes import shape_of


class MergeViews(Rewrite):
    """Merges transposes of transposes, and transposes between two reshapes, into one Transpose.

    Before::

        key [b, 4, s, 32] ── Reshape [b·4, s, 32] ── Transpose(0, 2, 1) ── Reshape [b, 4, 32, s]

    After::

        key ── Transpose(0, 1, 3, 2)

    Chains of two are merged by onnxscript's rules (Transpose, Unsqueeze, and views without effect). Slices that cut
    nothing are removed.
    """

    def rewrite(self, model: ir.Model) -> None:
        for node in list(model.graph):
            self._transpose_in_three(model.graph, node)
            self._whole_slice(node)
        if self.matches:  # otherwise the rules count unused readers
            common_passes.RemoveUnusedNodesPass()(model)
        self.matches += LIBRARY.apply_to_model(model)
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)

    def _whole_slice(self, node: ir.Node) -> None:
        if node.op_type != "Slice" or node.domain != "" or node.outputs[0].is_graph_output():
            return
        x = node.inputs[0]
        if x is not None and x.shape is not None and sliced(node, len(x.shape)) == {}:
            replace(node.outputs[0], x)
            self.matches += 1

    def _transpose_in_three(self, graph: ir.Graph, last: ir.Node) -> None:
        chain = [last]
        while len(chain) < 3:
            x = chain[0].inputs[0] if chain[0].inputs else None
            node = None if x is None else x.producer()
            if node is None:
                return
            chain.insert(0, node)
        first, middle, _ = chain
        if [node.op_type for node in chain] != ["Reshape", "Transpose", "Reshape"] or any(n.domain for n in chain):
            return
        x = first.inputs[0]
        shapes = [None if v is None else shape_of(v) for v in (x, first.outputs[0], last.outputs[0])]
        before, merged, after = shapes
        if x is None or before is None or merged is None or after is None or len(merged) != 3 or len(before) != 4:
            return
        swapped = [*before[:2], before[3], before[2]]
        if middle.attributes.get_ints("perm") not in ([0, 2, 1], (0, 2, 1)) or merged[1:] != before[2:]:
            return
        if after != swapped:
            return
        output = ir.Value(shape=last.outputs[0].shape, type=last.outputs[0].type)
        graph.insert_before(last, ir.node("Transpose", [x], attributes={"perm": [0, 1, 3, 2]}, outputs=[output]))
        replace(last.outputs[0], output)
        self.matches += 1


LIBRARY = pattern.RewriteRuleSet(
    [
        rules.transpose_transpose_rule,
        rules.unsqueeze_unsqueeze_rule,
        rules.no_op_transpose_rule,
    ]
)
