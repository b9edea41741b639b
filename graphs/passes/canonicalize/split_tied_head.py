"""LM head without a second copy of the word embeddings."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.constants import add_initializer, constant
from graphs.ir.rewrite import Rewrite, replace


class SplitTiedHead(Rewrite):
    """Splits the product with [table | dense] into two Gemms, one of which reads the word embeddings.

    Before::

        x [n, 512] ── MatMul([tableᵀ; dense], [512, vocab]) ── Add(bias)

    After::

        x ─┬─ Slice[:, :128] ── Gemm(table, bias, transB) ─┐
           └─ Slice[:, 128:] ── Gemm(dense) ───────────────┴─ (its third input)

    Exporters fold the concatenation into one weight, so the file holds the table twice: 16 MB for 30,522 words in
    float32. The second copy is recognised by its numbers.
    """

    def rewrite(self, model: ir.Model) -> None:
        graph = model.graph
        tables = [
            node.inputs[0]
            for node in graph
            if node.op_type == "Gather" and node.inputs[0] is not None and node.inputs[0].is_initializer()
        ]
        for node in list(graph):
            if node.op_type not in ("MatMul", "Gemm") or node.domain != "" or len(node.inputs) < 2:
                continue
            x, weight = node.inputs[0], node.inputs[1]
            if x is None or weight is None or weight.shape is None or len(weight.shape) != 2:
                continue
            found = _parts(weight, tables)
            if found is None:
                continue
            if x.shape is None or len(x.shape) != 2 or not _is_plain(node):
                self.miss(node, "the product with the word embeddings is not one of two matrices, as Gemm needs")
                continue
            table, dense = found
            if isinstance(dense, np.ndarray):
                dense = add_initializer(graph, f"{weight.name}.dense", dense)
            self._split(graph, node, x, table, dense)
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)

    def _split(self, graph: ir.Graph, node: ir.Node, x: ir.Value, table: ir.Value, dense: ir.Value) -> None:
        last = node
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        added = _bias_after(node) if node.op_type == "MatMul" else None
        if added is not None:
            last, bias = added
        rows = constant(table)
        assert rows is not None
        final, width = last.outputs[0], rows.shape[1]
        upper = _columns(graph, x, 0, width, last)
        lower = _columns(graph, x, width, np.iinfo(np.int64).max, last)
        first = ir.Value(shape=final.shape, type=final.type)
        second = ir.Value(shape=final.shape, type=final.type)
        inputs = [upper, table] + ([] if bias is None else [bias])
        tied = ir.node("Gemm", inputs, attributes={"transB": 1}, outputs=[first])
        own = ir.node("Gemm", [lower, dense, first], outputs=[second])
        graph.insert_before(last, [tied, own])
        replace(final, second)
        self.matches += 1


def _columns(graph: ir.Graph, x: ir.Value, start: int, end: int, before: ir.Node) -> ir.Value:
    """Inserts a Slice of columns of a matrix."""
    bounds = [add_initializer(graph, "head_bound", np.array([n], dtype=np.int64)) for n in (start, end, 1)]
    part = ir.Value(shape=ir.Shape([None if x.shape is None else x.shape[0], None]), type=x.type)
    graph.insert_before(before, ir.node("Slice", [x, *bounds], outputs=[part]))
    return part


def _is_plain(node: ir.Node) -> bool:
    attributes = node.attributes
    scaled = any(attributes.get_float(name, 1.0) != 1.0 for name in ("alpha", "beta"))
    return not scaled and not attributes.get_int("transA", 0) and not attributes.get_int("transB", 0)


def _parts(weight: ir.Value, tables: list[ir.Value]) -> tuple[ir.Value, ir.Value | np.ndarray] | None:
    """Returns the table ``[vocab, width]`` and the dense part ``[hidden - width, vocab]`` of a weight; else None."""
    if weight.producer() is not None and constant(weight) is None:
        return _concatenated(weight, tables)
    array = constant(weight)
    if array is None or array.dtype.kind != "f":
        return None
    for table in tables:
        rows = constant(table)
        if rows is None or rows.ndim != 2 or rows.dtype != array.dtype:
            continue
        words, width = rows.shape
        if words == array.shape[1] and width < array.shape[0] and (array[:width] == rows.T).all():
            return table, array[width:]
    return None


def _concatenated(weight: ir.Value, tables: list[ir.Value]) -> tuple[ir.Value, ir.Value] | None:
    """Returns the parts of a weight that the graph concatenates itself; see `_parts`."""
    concat = weight.producer()
    if concat is None or concat.op_type != "Concat" or concat.domain != "" or len(concat.inputs) != 2:
        return None
    upper, dense = concat.inputs
    transpose = None if upper is None else upper.producer()
    if transpose is None or transpose.op_type != "Transpose" or transpose.domain != "":
        return None
    table = transpose.inputs[0]
    turned = list(transpose.attributes.get_ints("perm", [1, 0])) == [1, 0]
    if not turned or concat.attributes.get_int("axis", 0) % 2 != 0 or dense is None or constant(dense) is None:
        return None
    return (table, dense) if table is not None and any(table is t for t in tables) else None


def _bias_after(node: ir.Node) -> tuple[ir.Node, ir.Value] | None:
    """Returns the Add that is a product's only reader, and the constant vector that it adds; else None."""
    product = node.outputs[0]
    uses = list(product.uses())
    if product.is_graph_output() or len(uses) != 1:
        return None
    add = uses[0].node
    if add.op_type != "Add" or add.domain != "" or add.graph is not node.graph:
        return None
    bias, weight = add.inputs[1 - uses[0].idx], node.inputs[1]
    other = constant(bias)
    if bias is None or other is None or weight is None or weight.shape is None:
        return None
    return (add, bias) if other.shape == (weight.shape[1],) else None
