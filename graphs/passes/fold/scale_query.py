"""Scale of the attention scores, moved to the query."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import add_initializer, float_constant
from graphs.ir.layout import RULES
from graphs.ir.linear import as_linear
from graphs.ir.rewrite import Rewrite, replace


class ScaleQuery(Rewrite):
    """Moves the scale 1/√d from the scores to the query, from where it folds into the query's weight.

    Before::

        query ─┐
        key ───┴─ MatMul ── Div(√d) ── … Softmax

    After::

        query ── Mul(1/√d) ─┐
        key ────────────────┴─ MatMul ── … Softmax

    The query has `seq` rows, the scores `seq²` numbers per head.
    """

    def rewrite(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type not in ("Mul", "Div") or node.domain != "":
                continue
            product, factor = _scaled_product(node)
            if product is None or factor is None:
                continue
            query = product.inputs[0]
            if query is None or query.dtype is None or not _from_linear(query):
                self.miss(
                    node, "the left-hand side of the product is not the query of a linear layer with constant weights"
                )
                continue
            scale = add_initializer(model.graph, "query_scale", factor.astype(query.dtype.numpy()))
            scaled = ir.Value(shape=query.shape, type=query.type)
            model.graph.insert_before(product, ir.node("Mul", [query, scale], outputs=[scaled]))
            product.replace_input_with(0, scaled)
            replace(node.outputs[0], product.outputs[0])
            model.graph.remove(node, safe=True)
            self.matches += 1


def _scaled_product(node: ir.Node) -> tuple[ir.Node | None, np.ndarray | None]:
    """Returns the product of two activations whose only reader is this node, and the factor; else None twice."""
    for index in (0, 1) if node.op_type == "Mul" else (0,):
        x, k = node.inputs[index], float_constant(node.inputs[1 - index])
        if x is None or k is None or k.size != 1 or x.is_graph_output() or len(x.uses()) != 1:
            continue
        product = x.producer()
        if product is None or product.op_type != "MatMul" or product.domain != "" or as_linear(product) is not None:
            continue
        if x.shape is None or k.ndim > len(x.shape) or (node.op_type == "Div" and k.item() == 0):
            continue
        return product, (k if node.op_type == "Mul" else 1.0 / k).reshape(())
    return None, None


def _from_linear(value: ir.Value) -> bool:
    """Returns whether the value is a view of a linear layer, perhaps with a constant added or multiplied."""
    node = value.producer()
    while node is not None and as_linear(node) is None:
        if node.op_type in RULES:
            value_next = node.inputs[0]
        elif node.op_type in ("Add", "Mul", "Div", "Sub"):
            varying = [x for x in node.inputs if float_constant(x) is None]
            value_next = varying[0] if len(varying) == 1 else None
        else:
            return False
        node = None if value_next is None else value_next.producer()
    return node is not None
