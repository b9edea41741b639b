"""Conversion of a float32 graph to float64, whose results are free of float32 rounding."""

from __future__ import annotations

import onnx_ir as ir

from graphs.execution.retyping import retype

FLOAT, DOUBLE = ir.DataType.FLOAT, ir.DataType.DOUBLE

# Operators that onnxruntime computes in float32 only: their results alone are rounded.
NARROW = frozenset(("Erf",))


def widen(model: ir.Model) -> None:
    """Converts all float32 tensors and attributes of a model to float64, in place; functions are inlined first.

    Operators that onnxruntime has in float32 only are put between two casts.
    """
    retype(model, (FLOAT,), DOUBLE)
    for graph in model.graphs():
        for node in list(graph):
            if node.op_type in NARROW and node.outputs[0].dtype == DOUBLE:
                _keep_narrow(graph, node)


def _keep_narrow(graph: ir.Graph | ir.Function, node: ir.Node) -> None:
    y = node.outputs[0]
    wide = ir.Value(name=y.name, type=y.type, shape=y.shape)
    ir.convenience.replace_all_uses_with(y, wide, replace_graph_outputs=True)
    y.name, y.type = f"{wide.name}.narrow", ir.TensorType(FLOAT)
    before = ir.node("Cast", [node.inputs[0]], attributes={"to": int(FLOAT)})
    node.replace_input_with(0, before.outputs[0])
    graph.insert_before(node, before)
    graph.insert_after(node, ir.node("Cast", [y], attributes={"to": int(DOUBLE)}, outputs=[wide]))
