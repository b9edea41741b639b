"""Fusion of the embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.functions import DOMAIN, VERSION
from graphs.functions.embeddings import FLOAT16, INT8, NAME, embeddings
from graphs.ir.constants import constant, integers, sliced
from graphs.ir.matching import MismatchError, check, only_reader, plain_weight, producer_of, residual_gemm
from graphs.ir.rewrite import Rewrite, replace_node
from graphs.model.sizes import shape_of

OPERATORS = {ir.DataType.INT8: INT8, ir.DataType.FLOAT: NAME, ir.DataType.FLOAT16: FLOAT16}


class FuseEmbeddings(Rewrite):
    """Fuses the embeddings into one node `mbert.Embeddings`.

    Before::

        ids ── Gather(words) ─┬─ Pad ─┬─ Slice[2:] ──┐
                              ├───────┼──────────────┼─ Concat ── Reshape ── Gemm ── y
                              │       └─ Slice[:-2] ─┘                        │
        token types ── Gather(types) ── Add(Slice(positions)) ── Reshape ─────┘

    After::

        ids, token types ── mbert.Embeddings(words, positions, types, weight) ── y

    With tables and weights of 8 bits it is mbert.EmbeddingsInt8, of float16 mbert.EmbeddingsFloat16.
    """

    def rewrite(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type != "Concat" or node.domain != "" or len(node.inputs) != 3:
                continue
            if not all(_is_part(node.inputs[index]) for index in (0, 2)):
                continue
            try:
                self._fuse(model, node)
            except MismatchError as mismatch:
                self.miss(mismatch.node, mismatch.reason)
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)
            model.opset_imports[DOMAIN] = VERSION

    def _fuse(self, model: ir.Model, concat: ir.Node) -> None:
        graph = model.graph
        words = concat.inputs[1]
        assert words is not None
        trigrams = _trigrams(concat)
        lookup = _lookup(words, concat)
        product = _product(trigrams)
        located = producer_of(product.addend, "Reshape", product.last)
        _check_rows(located, located.inputs[0])
        add = producer_of(located.inputs[0], "Add", located)
        segments, places = _segments_and_places(add)
        types, token_types = segments.inputs
        ids = lookup.ids
        assert token_types is not None
        assert types is not None
        positions = _positions(places, ids, add)
        for value, what in ((ids, "the ids"), (token_types, "the token types")):
            check(value.dtype == ir.DataType.INT64, segments, f"{what} are not int64")
        shape = shape_of(ids)
        check(shape is not None and len(shape) == 2, lookup.node, "the ids do not have the shape [batch, seq]")
        check(shape_of(token_types) == shape, segments, "the token types do not have the shape of the ids")
        table, weight = lookup.table, product.weight
        check(table.dtype == weight.dtype, product.last, f"its weight is {weight.dtype}, the words are {table.dtype}")
        kind = ir.DataType.FLOAT if table.dtype == ir.DataType.INT8 else table.dtype
        others = {types.dtype, positions.dtype, *(value.dtype for value in (*lookup.scales, *product.scales))}
        check(table.dtype in OPERATORS and others == {kind}, add, "its tables are not of the type of the words")
        assert table.dtype is not None
        sizes = [_sizes(value) for value in (table, weight, types, positions)]
        embedding = sizes[0][1]
        read, hidden = reversed(sizes[1]) if product.transposed else sizes[1]
        check(read == 3 * embedding, product.last, "its weight does not read three word embeddings")
        check(sizes[2][1] == sizes[3][1] == hidden, add, "its tables are not as wide as the outer stream")
        inside = {concat, *product.nodes, located, add, segments, *lookup.nodes, *_between(concat, words)}
        inside |= {node for node in (places.producer(),) if node is not None}
        for node in inside - {product.last}:
            for value in node.outputs:
                strangers = [use.node for use in value.uses() if use.node not in inside]
                check(not strangers, strangers[0] if strangers else node, f"it reads {value.name}, which is inside")
                check(not value.is_graph_output(), node, f"{value.name} is an output of the graph")
        function = embeddings(OPERATORS[table.dtype], model.opset_imports[""], embedding, hidden)
        check(function.identifier() not in model.functions, concat, "the model has other embeddings")
        model.functions[function.identifier()] = function
        if product.transposed:
            weight = plain_weight(graph, residual_gemm(product.last))
        inputs = [ids, token_types, table, *lookup.scales, positions, types, weight, *product.scales]
        replace_node(product.last, ir.node(function.name, inputs, domain=DOMAIN, version=VERSION))
        self.matches += 1


@dataclass(frozen=True)
class _Lookup:
    """Lookup of the words: the ids, the table, the scales of one in 8 bits, and the nodes."""

    node: ir.Node
    ids: ir.Value
    table: ir.Value
    scales: list[ir.Value]
    nodes: list[ir.Node]


@dataclass(frozen=True)
class _Product:
    """Product with the trigrams: its weight, the scales of one in 8 bits, what is added, and the nodes."""

    weight: ir.Value
    scales: list[ir.Value]
    transposed: bool
    addend: ir.Value | None
    nodes: list[ir.Node]

    @property
    def last(self) -> ir.Node:
        return self.nodes[-1]


def _is_part(value: ir.Value | None) -> bool:
    """Returns whether a value is a Slice of a Pad, as the neighbours of a trigram are."""
    node = None if value is None else value.producer()
    source = None if node is None or node.op_type != "Slice" or node.inputs[0] is None else node.inputs[0].producer()
    return source is not None and source.op_type == "Pad"


def _between(concat: ir.Node, words: ir.Value) -> list[ir.Node]:
    """Returns the Slices and the Pad before a trigram's Concat; raises MismatchError where they do not shift by one."""
    check(concat.attributes.get_int("axis", 0) in (2, -1), concat, "it does not join the embeddings of a token")
    nodes = list[ir.Node]()
    for index, (name, expected) in {0: ("next", (2, None)), 2: ("previous", (0, -2))}.items():
        cut = producer_of(concat.inputs[index], "Slice", concat)
        check(sliced(cut, rank=3) == {1: expected}, cut, f"it does not take the {name} token")
        pad = producer_of(cut.inputs[0], "Pad", cut)
        plain = pad.attributes.get_string("mode", "constant") == "constant" and pad.inputs[0] is words
        none = all(value is None for value in pad.inputs[2:])
        check(plain and none and integers(pad.inputs[1]) == [0, 1, 0, 0, 1, 0], pad, "it does not pad by one token")
        nodes += [cut, pad]
    return nodes


def _trigrams(concat: ir.Node) -> ir.Node:
    """Returns the Reshape of the trigrams to rows."""
    reshape = only_reader(concat.outputs[0], concat, "the trigrams")
    check(reshape.op_type == "Reshape", reshape, "expected a Reshape of the trigrams to a matrix")
    _check_rows(reshape, concat.outputs[0])
    return reshape


def _check_rows(reshape: ir.Node, value: ir.Value | None) -> None:
    """Raises MismatchError unless a Reshape makes the rows of a matrix of the last dimension."""
    shape, sizes = integers(reshape.inputs[1]), None if value is None else value.shape
    width = None if sizes is None else sizes[-1]
    known = shape is not None and len(shape) == 2 and (width is None or not isinstance(width, int) or shape[1] == width)
    check(known and reshape.inputs[0] is value, reshape, "it does not make a matrix with the rows of the tokens")


def _lookup(words: ir.Value, reader: ir.Node) -> _Lookup:
    last = producer_of(words, ("Gather", "Mul"), reader)
    if last.op_type == "Gather":
        table, ids = _gathered(last)
        return _Lookup(last, ids, table, [], [last])
    cast = producer_of(last.inputs[0], "Cast", last)
    numbers, steps = producer_of(cast.inputs[0], "Gather", cast), producer_of(last.inputs[1], "Gather", last)
    (table, ids), (scales, others) = _gathered(numbers), _gathered(steps)
    rows = _sizes(table)[0]
    check(ids is others and _sizes(scales) == [rows, 1], steps, "it is not the lookup of the words' scales")
    return _Lookup(numbers, ids, table, [scales], [numbers, cast, steps, last])


def _gathered(node: ir.Node) -> tuple[ir.Value, ir.Value]:
    """Returns the table and the ids of a lookup in a constant table."""
    table, ids = node.inputs
    plain = node.attributes.get_int("axis", 0) == 0 and constant(table) is not None
    check(plain, node, "it is not a lookup in a constant table")
    assert table is not None
    assert ids is not None
    return table, ids


def _sizes(table: ir.Value) -> list[int]:
    array = constant(table)
    shape = [] if array is None else list(array.shape)
    if len(shape) != 2:
        reader = next(use.node for use in table.uses())
        raise MismatchError(reader, f"{table.name} has the shape {shape}; expected a matrix")
    return shape


def _product(trigrams: ir.Node) -> _Product:
    """Returns the product that reads the rows of the trigrams, in float or in 8 bits."""
    node = only_reader(trigrams.outputs[0], trigrams, "the trigrams")
    if node.op_type != "DynamicQuantizeLinear":
        linear = residual_gemm(node)
        check(linear.x is trigrams.outputs[0], node, "the trigrams are not the rows of its product")
        return _Product(linear.weight, [], linear.transposed, node.inputs[2], [trigrams, node])
    numbers, step, zero = node.outputs
    integer = only_reader(numbers, node, "the trigrams in 8 bits")
    check(integer.op_type == "MatMulInteger" and len(integer.inputs) == 3, integer, "expected MatMulInteger")
    weight = integer.inputs[1]
    plain = weight is not None and integer.inputs[0] is numbers and integer.inputs[2] is zero
    check(
        plain and constant(weight) is not None, integer, "it is not the product of the trigrams and a constant weight"
    )
    whole = only_reader(integer.outputs[0], integer, "the sums")
    check(whole.op_type == "Cast", whole, "expected Cast")
    scaled = only_reader(whole.outputs[0], whole, "the sums")
    check(scaled.op_type == "Mul", scaled, "expected Mul by the steps")
    steps = producer_of(next((x for x in scaled.inputs if x is not whole.outputs[0]), None), "Mul", scaled)
    scale = next((x for x in steps.inputs if x is not step), None)
    check(step in steps.inputs and constant(scale) is not None, steps, "it does not multiply by constant scales")
    add = only_reader(scaled.outputs[0], scaled, "the product")
    check(add.op_type == "Add", add, "expected Add of the types and positions")
    addend = next((x for x in add.inputs if x is not scaled.outputs[0]), None)
    assert weight is not None
    assert scale is not None
    return _Product(weight, [scale], False, addend, [trigrams, node, integer, whole, steps, scaled, add])


def _segments_and_places(add: ir.Node) -> tuple[ir.Node, ir.Value]:
    """Returns the lookup of the token types, and the rows of the positions."""
    for index, value in enumerate(add.inputs):
        node = None if value is None else value.producer()
        places = add.inputs[1 - index]
        if node is not None and node.op_type == "Gather" and node.domain == "" and places is not None:
            _gathered(node)
            return node, places
    raise MismatchError(add, "it adds no lookup of token types, such as of an input token_type_ids")


def _positions(places: ir.Value, ids: ir.Value, add: ir.Node) -> ir.Value:
    """Returns the table of positions of which `places` are the first rows, one for each token of a sequence."""
    shape = shape_of(ids)
    length = None if shape is None else shape[-1]
    if constant(places) is not None:
        check(_sizes(places)[0] == length, add, "its positions are not as many as the tokens of a sequence")
        return places
    cut = producer_of(places, "Slice", add)
    table, starts, ends, axes, steps = [*cut.inputs, None][:5]
    first = integers(starts) == [0] and integers(axes) == [0] and (steps is None or integers(steps) == [1])
    check(first and constant(table) is not None, cut, "it does not take the first rows of a table of positions")
    assert table is not None
    if isinstance(length, int):
        check(integers(ends) == [length], cut, "it does not take one row for each token of a sequence")
        return table
    size = producer_of(ends, "Shape", cut)
    sizes = None if size.inputs[0] is None else shape_of(size.inputs[0])
    part = slice(size.attributes.get_int("start", 0), size.attributes.get_int("end", 2**31))
    check(sizes is not None and sizes[part] == [length], size, "it does not count the tokens of a sequence")
    return table
