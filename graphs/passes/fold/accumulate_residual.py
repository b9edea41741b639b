"""Residuals as the third input of Gemm."""

from __future__ import annotations

import onnx_ir as ir

from graphs.ir.linear import as_linear
from graphs.ir.rewrite import Rewrite


class AccumulateResidual(Rewrite):
    """Moves a residual into the third input of a Gemm, where the sum is free.

    Before::

        y ── MatMul(W) ── Add(u)

    After::

        y ── Gemm(W, u)

    Only for two-dimensional tensors, and where the product has no bias and no other reader. Not for phones, whose
    providers take a Gemm only with a constant third input.
    """

    def rewrite(self, model: ir.Model) -> None:
        for node in model.graph:
            if node.op_type == "Add" and node.domain == "" and _accumulate(model.graph, node):
                self.matches += 1


def _accumulate(graph: ir.Graph, add: ir.Node) -> bool:
    for product, residual in (add.inputs, reversed(add.inputs)):
        node = None if product is None else product.producer()
        linear = None if node is None else as_linear(node)
        if product is None or residual is None or node is None or linear is None or linear.bias is not None:
            continue
        if len(product.uses()) != 1 or product.is_graph_output() or not _same_matrix(product, residual):
            continue
        attributes = {"transB": 1} if linear.transposed else {}
        output = add.outputs[0]
        gemm = ir.node(
            "Gemm",
            [linear.x, linear.weight, residual],
            attributes=attributes,
            outputs=[ir.Value(shape=output.shape, type=output.type)],
        )
        graph.insert_before(add, gemm)
        name, is_output = output.name, output.is_graph_output()
        ir.convenience.replace_all_uses_with(output, gemm.outputs[0], replace_graph_outputs=True)
        if is_output:
            output.name = None
            gemm.outputs[0].name = name
        graph.remove([add, node], safe=True)
        return True
    return False


def _same_matrix(a: ir.Value, b: ir.Value) -> bool:
    """Returns whether two values are matrices of the same columns, neither broadcast over rows."""
    if a.shape is None or b.shape is None or len(a.shape) != 2 or len(b.shape) != 2:
        return False
    return a.shape[1] == b.shape[1] and (a.shape[0] == b.shape[0] or 1 not in (a.shape[0], b.shape[0]))
