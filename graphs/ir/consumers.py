"""Readers of a graph's values before rewriting, and whether they can absorb a scale and shift."""

from __future__ import annotations

import onnx_ir as ir

from graphs.ir.constants import constant
from graphs.ir.layout import RULES
from graphs.ir.linear import as_linear


class Readers:
    """Snapshot of a graph's readers, since a pass that rewrites the graph adds readers of its own."""

    def __init__(self, graph: ir.Graph) -> None:
        nodes = list(graph)
        self._graph = graph
        self._position = {node: index for index, node in enumerate(nodes)}
        values = [*graph.inputs, *(output for node in nodes for output in node.outputs)]
        self._uses = {value: list(value.uses()) for value in values}
        self._absorbs: dict[ir.Value, bool] = {}
        for node in reversed(nodes):  # a view's readers come after it
            for output in node.outputs:
                self._absorbs[output] = self._all_absorb(output)

    def position(self, node: ir.Node | None) -> int:
        """Returns the node's position in the order of execution; -1 for None."""
        return -1 if node is None else self._position.get(node, -1)

    def read_once(self, value: ir.Value) -> bool:
        """Returns whether the value has one reader and is not an output of the graph."""
        return not value.is_graph_output() and len(self._uses.get(value, ())) == 1

    def absorbs(self, value: ir.Value) -> bool:
        """Returns whether all readers can absorb a constant scale and shift of the value at no cost."""
        return self._absorbs.get(value, False)

    def _all_absorb(self, value: ir.Value) -> bool:
        if value.is_graph_output():
            return False
        return all(self._takes_in(use.node, use.idx) for use in self._uses[value])

    def _takes_in(self, node: ir.Node, index: int) -> bool:
        if node.graph is not self._graph or node.domain != "":
            return False
        if as_linear(node) is not None or (node.op_type == "Add" and index < 2):
            return index < 2
        if node.op_type in ("Sub", "Mul", "Div"):
            return any(constant(x) is not None for x in node.inputs)
        if node.op_type == "MatMul":
            return index == 1 and self.rows_sum_to_one(node.inputs[0]) and self._absorbs[node.outputs[0]]
        if node.op_type in RULES:
            return index == 0 and all(self._absorbs[output] for output in node.outputs)
        return False

    def rows_sum_to_one(self, value: ir.Value | None) -> bool:
        """Returns whether the value is a softmax over its last dimension."""
        node = None if value is None else value.producer()
        return node is not None and _is_softmax_of_rows(node)

    def softmax_cancels_row_constants(self, value: ir.Value) -> bool:
        """Returns whether every use of the value (attention scores) ends in a softmax over rows.

        Another tensor, such as a mask, may be added in between.
        """
        if value.is_graph_output() or not self._uses.get(value):
            return False
        for use in self._uses[value]:
            node = use.node
            if node.op_type == "Add" and node.domain == "":
                if not self.softmax_cancels_row_constants(node.outputs[0]):
                    return False
            elif not _is_softmax_of_rows(node):
                return False
        return True


def _is_softmax_of_rows(node: ir.Node) -> bool:
    if node.op_type != "Softmax" or node.domain != "":
        return False
    shape = node.outputs[0].shape
    last = {-1} if shape is None else {-1, len(shape) - 1}
    return node.attributes.get_int("axis", -1) in last
