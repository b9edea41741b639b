"""One form of the embeddings: the trigram's neighbours, the positions, the order of the sum."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.constants import add_initializer, constant, integers, sliced
from graphs.ir.rewrite import Rewrite, replace
from graphs.model.size_tensors import SizeTensors
from graphs.model.sizes import shape_of


class EmbedTokens(Rewrite):
    """Rewrites the embeddings of any exporter to one small form, whose sum can go into a Gemm.

    Ids are looked up in their own shape, also where an exporter makes them one row, or multiplies one-hot vectors.

    Before::

        words ─┬─ Slice[1:] ── Pad(after) ───┐
               ├─────────────────────────────┼─ Concat ── MatMul ── Add(b) ── Add ── Add(types)
               └─ Slice[:-1] ── Pad(before) ─┘                                 │
        positions ── Gather(Slice(0, 1, 2, …)) ────────────────────────────────┘

    After::

        words ── Pad(both) ─┬─ Slice[2:] ──┐
        words ──────────────┼──────────────┼─ Concat ── MatMul ── Add(b) ── Add
                            └─ Slice[:-2] ─┘                                 │
        positions ── Slice[:seq] ── Add(types) ──────────────────────────────┘
    """

    def rewrite(self, model: ir.Model) -> None:
        graph = model.graph
        self._sizes = SizeTensors(graph)
        for node in list(graph):
            if node.domain != "":
                continue
            if node.op_type == "Concat":
                self._pad_once(graph, node)
            elif node.op_type == "MatMul":
                self._look_up_one_hot(graph, node)
            elif node.op_type == "Reshape":
                self._look_up_whole(graph, node)
            elif node.op_type == "Add" and not _is_summand(node):
                self._order(graph, node)
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)

    def _pad_once(self, graph: ir.Graph, concat: ir.Node) -> None:
        if len(concat.inputs) != 3 or concat.attributes.get_int("axis", 0) not in (2, -1):
            return
        following, words, previous = concat.inputs
        if words is None or not (_is_shifted(following, words, 1) and _is_shifted(previous, words, -1)):
            return
        shape = shape_of(words)
        wide = None if shape is None else ir.Shape([shape[0], None, shape[2]])
        pads = add_initializer(graph, "trigram_pads", np.array([0, 1, 0, 0, 1, 0], dtype=np.int64))
        padded = ir.Value(shape=wide, type=words.type)
        nodes = [ir.node("Pad", [words, pads], outputs=[padded])]
        axis = add_initializer(graph, "trigram_axis", np.array([1], dtype=np.int64))
        for index, (start, end) in ((0, (2, np.iinfo(np.int64).max)), (2, (0, -2))):
            bounds = [add_initializer(graph, "trigram_bound", np.array([n], dtype=np.int64)) for n in (start, end)]
            part = ir.Value(shape=words.shape, type=words.type)
            nodes.append(ir.node("Slice", [padded, *bounds, axis], outputs=[part]))
            concat.replace_input_with(index, part)
        graph.insert_before(concat, nodes)
        self.matches += 1

    def _look_up_one_hot(self, graph: ir.Graph, product: ir.Node) -> None:
        """Replaces the product of one-hot vectors and a table, of Google's code, by a lookup."""
        chosen, table = _producer_of(product.inputs[0], "OneHot"), product.inputs[1]
        rows = constant(table)
        if chosen is None or rows is None or rows.ndim != 2 or chosen.attributes.get_int("axis", -1) != -1:
            return
        ids, depth, values = chosen.inputs
        numbers = constant(values)
        if ids is None or integers(depth) != [len(rows)] or numbers is None or numbers.tolist() != [0, 1]:
            return
        self._look_up_instead(graph, product, table, ids)

    def _look_up_instead(self, graph: ir.Graph, node: ir.Node, table: ir.Value | None, ids: ir.Value) -> None:
        """Replaces a node's output by the rows of a table that the ids select."""
        output = node.outputs[0]
        found = ir.Value(shape=output.shape, type=output.type)
        graph.insert_before(node, ir.node("Gather", [table, ids], outputs=[found]))
        replace(output, found)
        self.matches += 1

    def _look_up_whole(self, graph: ir.Graph, reshape: ir.Node) -> None:
        """Looks ids up as they are, where they are made one row and the result is reshaped back."""
        gather, output = _producer_of(reshape.inputs[0], "Gather"), reshape.outputs[0]
        row = None if gather is None else _producer_of(gather.inputs[1], "Reshape")
        if gather is None or row is None or row.inputs[0] is None or gather.attributes.get_int("axis", 0) != 0:
            return
        table, ids = gather.inputs[0], row.inputs[0]
        shape, given = shape_of(output), shape_of(ids)
        width = None if table is None or table.shape is None else table.shape[-1]
        if shape is None or given is None or shape != [*given, width] or table is None or len(table.shape or ()) != 2:
            return
        self._look_up_instead(graph, reshape, table, ids)

    def _order(self, graph: ir.Graph, add: ir.Node) -> None:
        """Reorders the sum of word, bias, segment and position embeddings."""
        leaves = _summands(add)
        if len(leaves) < 3:
            return
        types = [leaf for leaf in leaves if _is_segment_lookup(leaf)]
        positions = [(leaf, found) for leaf in leaves if (found := _positions(leaf, self._sizes)) is not None]
        if len(types) != 1 or len(positions) != 1:
            return
        leaf, (table, size) = positions[0]
        others = [x for x in leaves if x is not types[0] and x is not leaf]
        words = [x for x in others if constant(x) is None]
        if len(words) != 1 or shape_of(words[0]) != shape_of(add.outputs[0]):
            self.miss(add, "a sum with positions and token types has other summands than words and a bias")
            return
        if _in_order(add, types[0], leaf) and _producer_of(leaf, "Slice") is not None:
            return
        output = add.outputs[0]

        def node(op_type: str, inputs: list[ir.Value], like: ir.Value) -> ir.Value:
            value = ir.Value(shape=like.shape, type=output.type)
            graph.insert_before(add, ir.node(op_type, inputs, outputs=[value]))
            return value

        zero = np.array([0], dtype=np.int64)
        end = add_initializer(graph, "positions_end", np.array([size])) if isinstance(size, int) else size
        bounds = [add_initializer(graph, "positions_start", zero), end, add_initializer(graph, "positions_axis", zero)]
        rows = node("Slice", [table, *bounds], leaf)
        rows.shape = None if leaf.shape is None else ir.Shape(list(leaf.shape)[-2:])
        total = words[0]
        for bias in (x for x in others if x is not words[0]):
            total = node("Add", [total, bias], words[0])
        replace(output, node("Add", [total, node("Add", [types[0], rows], types[0])], output))
        self.matches += 1


def _is_summand(node: ir.Node) -> bool:
    """Returns whether the only use of a sum is as a summand of another."""
    output = node.outputs[0]
    uses = list(output.uses())
    return not output.is_graph_output() and len(uses) == 1 and uses[0].node.op_type == "Add"


def _summands(add: ir.Node) -> list[ir.Value]:
    leaves: list[ir.Value] = []
    for value in add.inputs:
        node = None if value is None else value.producer()
        if node is not None and node.op_type == "Add" and node.domain == "" and _is_summand(node):
            leaves += _summands(node)
        elif value is not None:
            leaves.append(value)
    return leaves


def _in_order(add: ir.Node, types: ir.Value, positions: ir.Value) -> bool:
    summands = [node for value in add.inputs if (node := _producer_of(value, "Add")) is not None]
    return any({types, positions} == set(node.inputs) for node in summands)


def _producer_of(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """Returns the node that computes a value, if it is of one of these types; else None."""
    node = None if value is None else value.producer()
    return node if node is not None and node.domain == "" and node.op_type in op_types else None


def _is_segment_lookup(value: ir.Value) -> bool:
    """Returns whether a value is rows of a small constant table, at ids from an input."""
    node = _producer_of(value, "Gather")
    if node is None:
        return False
    table, source = node.inputs
    rows = constant(table)
    while (view := _producer_of(source, "Reshape", "Cast")) is not None:
        source = view.inputs[0]
    return rows is not None and len(rows) <= MOST_SEGMENTS and source is not None and source.is_graph_input()


# A table of more rows is the word embeddings.
MOST_SEGMENTS = 64


def _positions(value: ir.Value, sizes: SizeTensors) -> tuple[ir.Value, ir.Value | int] | None:
    """Returns the table of which `value` is the first rows, and their number (a vector of one element, or an int)."""
    node = _producer_of(value, "Slice", "Gather")
    table = None if node is None else node.inputs[0]
    rows = constant(table)
    if node is None or table is None or rows is None or rows.ndim != 2:
        return None
    if node.op_type == "Slice":
        return _first(node, axis=0, rank=2)
    if node.attributes.get_int("axis", 0) != 0:
        return None
    ids = constant(node.inputs[1])
    if ids is not None:  # a fixed length
        return (table, ids.size) if _counts(ids) else None
    counted = _counted(node.inputs[1], sizes)
    if counted is not None:
        return table, counted
    taken = _producer_of(node.inputs[1], "Slice")
    every = None if taken is None else constant(taken.inputs[0])
    if taken is None or every is None or not _counts(every) or every.size != len(rows):
        return None
    found = _first(taken, axis=every.ndim - 1, rank=every.ndim)
    return None if found is None else (table, found[1])


def _counted(ids: ir.Value | None, sizes: SizeTensors) -> ir.Value | None:
    """Returns the length, as a vector of one element, of ids that are Range(0, length); None for others."""
    while (view := _producer_of(ids, "Cast", "Unsqueeze")) is not None:
        ids = view.inputs[0]
    node = _producer_of(ids, "Range")
    if node is None or ids is None or [integers(node.inputs[0]), integers(node.inputs[2])] != [[0], [1]]:
        return None
    shape = shape_of(ids)
    return None if shape is None else sizes.vector(shape)


def _counts(ids: np.ndarray) -> bool:
    """Returns whether the ids are 0, 1, 2, …, with or without a batch dimension."""
    return ids.shape in ((ids.size,), (1, ids.size)) and bool((ids.reshape(-1) == np.arange(ids.size)).all())


def _first(node: ir.Node, axis: int, rank: int) -> tuple[ir.Value, ir.Value] | None:
    """Returns the input of a Slice that takes the first elements along an axis, and their number; else None."""
    x, starts, ends, axes, steps = _slice_inputs(node)
    found = integers(axes)
    if x is None or ends is None or found is None or [a % rank for a in found] != [axis]:
        return None
    return (x, ends) if integers(starts) == [0] and (steps is None or integers(steps) == [1]) else None


def _slice_inputs(node: ir.Node) -> list[ir.Value | None]:
    """Returns the inputs of a Slice: data, starts, ends, axes, steps."""
    return [*node.inputs, None, None][:5]


def _is_shifted(value: ir.Value | None, words: ir.Value, by: int) -> bool:
    """Returns whether a value is the words shifted by `by` positions, padded with a row of zeros."""
    pad = _producer_of(value, "Pad")
    if pad is None or pad.attributes.get_string("mode", "constant") != "constant":
        return False
    cut, pads, fill, axes = [*pad.inputs, None, None][:4]
    zeros = constant(fill)
    if axes is not None or (fill is not None and (zeros is None or zeros.any())):
        return False
    if integers(pads) != ([0, 0, 0, 0, 1, 0] if by > 0 else [0, 1, 0, 0, 0, 0]):
        return False
    node = _producer_of(cut, "Slice")
    return node is not None and node.inputs[0] is words and _is_all_but_one(node, by)


def _is_all_but_one(node: ir.Node, by: int) -> bool:
    """Returns whether a Slice drops the first (`by` 1) or last (`by` -1) element of the second of three dimensions."""
    bounds = sliced(node, rank=3)
    return bounds is not None and bounds == {1: (1, None) if by > 0 else (0, -1)}
