"""Sizes of dynamic tensors: what is known of them in terms of the inputs' dimensions, and how to compute them again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes
import onnx_shape_inference

from graphs.ir.constants import add_initializer, constant
from graphs.model.quiet import quiet

# Where onnx_shape_inference leaves what it knows of the numbers in a value.
NUMBERS = "pkg.onnx_shape_inference.sym_data"

# transformers' encoders take these with one shape, whatever an exporter calls its dimensions in each.
SAME_SHAPE = ("input_ids", "attention_mask", "token_type_ids", "position_ids")

# What broadcasts its inputs: two dynamic sizes that meet there need not be equal, one may be 1.
BROADCASTING = frozenset(
    "Add Sub Mul Div Mod Pow Max Min Mean Sum Where Expand PRelu Equal Less LessOrEqual Greater GreaterOrEqual "  # noqa: SIM905
    "And Or Xor BitShift BitwiseAnd BitwiseOr BitwiseXor".split()
)

# Ends of slices from here on mean: to the end.
FAR = 2**31 - 1

# An operator of which nothing is known but the shapes of its outputs.
UNKNOWN_DOMAIN = "graphs.unknown"

Size = int | str
"""A number, or an expression of the names of the inputs' dimensions, such as `batch`, or `sequence - 1`."""


def infer_sizes(model: ir.Model) -> None:
    """Infers shapes, and the numbers in tensors that hold sizes, in terms of the inputs' dimensions.

    onnx_shape_inference takes a few things for granted that need not hold (that two dynamic sizes which are broadcast
    are equal, that a slice is as long as it asks for). What it says there is not believed, nor what hangs on it.
    """
    _name_dimensions(model.graph)
    copy = model.clone()
    pairs = list(zip(model.graph, copy.graph, strict=True))
    _infer(copy)
    for node, known in pairs:
        for output, found in zip(node.outputs, known.outputs, strict=True):
            output.metadata_props.pop(NUMBERS, None)
            if node.domain != "":
                continue
            if found.shape is not None or not output.is_graph_output():
                output.shape = _readable(found.shape)
            output.type = output.type or found.type
            if NUMBERS in found.metadata_props:
                output.metadata_props[NUMBERS] = found.metadata_props[NUMBERS]


def forget_numbers(model: ir.Model) -> None:
    """Takes away what is known of numbers, and would be written into the file; shapes stay."""
    for node in model.graph:
        for output in node.outputs:
            output.metadata_props.pop(NUMBERS, None)


def _infer(model: ir.Model) -> None:
    """Infers, and infers again without the nodes of which something is in doubt, until nothing is."""
    for value in model.graph.inputs:
        if value.is_initializer():  # a default, which may be another number in each run
            model.graph.initializers.pop(str(value.name))
            value.const_value = None
    hidden: dict[ir.Node, list[ir.Shape | None]] = {}
    for node in model.graph:
        if node.domain != "" or _has_subgraph(node):  # of those, what the file states
            _hide(node, [output.shape for output in node.outputs], hidden)
    while True:
        _forget(model.graph, hidden)
        _call_library(model)
        doubtful = {node: shapes for node in model.graph if node not in hidden and (shapes := _doubtful(node))}
        if not doubtful:
            return
        for node, shapes in doubtful.items():
            _hide(node, shapes, hidden)


def _hide(node: ir.Node, shapes: list[ir.Shape | None], hidden: dict[ir.Node, list[ir.Shape | None]]) -> None:
    """Lets a node be one of which only these shapes are known."""
    node.domain = UNKNOWN_DOMAIN
    node.attributes.clear()
    hidden[node] = shapes


def _forget(graph: ir.Graph, hidden: dict[ir.Node, list[ir.Shape | None]]) -> None:
    for node in graph:
        shapes = hidden.get(node, [None] * len(node.outputs))
        for output, shape in zip(node.outputs, shapes, strict=True):
            output.metadata_props.pop(NUMBERS, None)
            output.const_value = None
            output.shape = None if shape is None else ir.Shape(list(shape))


def _call_library(model: ir.Model) -> None:
    try:
        with quiet("onnx_shape_inference"):
            onnx_shape_inference.infer_symbolic_shapes(model, warn_on_missing=False, adopt_declared_symbols=False)
    except Exception:  # one node that it cannot infer ends it; onnx's own inference knows less, and goes on
        for node in model.graph:
            for output in node.outputs:
                output.metadata_props.pop(NUMBERS, None)
                output.shape = output.shape if node.domain == UNKNOWN_DOMAIN else None
                output.const_value = None
        with quiet("onnx_ir"):
            common_passes.ShapeInferencePass()(model)


def _has_subgraph(node: ir.Node) -> bool:
    return any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())


def _doubtful(node: ir.Node) -> list[ir.Shape | None]:
    """The shapes of a node's outputs, put right where they are in doubt; empty if nothing is."""
    sizes = _put_right(node)
    if not sizes and all(_numbers_are_sure(node, output) for output in node.outputs):
        return []
    shapes = [_readable(output.shape) for output in node.outputs]
    return [
        None if shape is None else ir.Shape([sizes.get(axis, dim) for axis, dim in enumerate(_dims(shape))])
        for shape in shapes
    ]


def _put_right(node: ir.Node) -> dict[int, Size | None]:
    """The axes of which a wrong size is said, and what it is; None where that is unknown."""
    shape = node.outputs[0].shape if node.outputs else None
    if shape is None or node.domain != "":
        return {}
    if node.op_type in BROADCASTING:
        sizes = {axis: _broadcast(node, axis - len(shape)) for axis in range(len(shape))}
        return {axis: size for axis, size in sizes.items() if shape[axis] != size}
    if node.op_type == "Slice":
        return dict.fromkeys(_doubtful_slices(node, len(shape)))
    return {}


def _broadcast(node: ir.Node, axis: int) -> Size | None:
    """The size of an axis, counted from the last: the largest that meets there, since others are equal to it, or 1."""
    operands = [shape_of(x) for x in node.inputs if x is not None]
    if node.op_type == "Expand" and node.inputs[1] is not None:
        operands[1] = numbers_of(node.inputs[1])
    sizes = {dims[axis] for dims in operands if dims is not None and len(dims) >= -axis} - {1}
    numbers = [size for size in sizes if isinstance(size, int)]
    if len(sizes) <= 1 or numbers:
        return next(iter(numbers or sizes), 1)
    largest = ir.SymbolicDim(f"Max({', '.join(map(str, sizes))})").simplify().value
    return largest if largest in sizes else None


def _doubtful_slices(node: ir.Node, rank: int) -> set[int]:
    x, starts, ends, axes, steps = [*node.inputs, None, None][:5]
    dims = None if x is None else shape_of(x)
    first, last = (None if v is None else numbers_of(v) for v in (starts, ends))
    if dims is None or first is None or last is None:
        return set()  # the library says nothing there
    along = list(range(len(first))) if axes is None else numbers_of(axes)
    by = [1] * len(first) if steps is None else numbers_of(steps)
    if along is None or by is None:
        return set(range(rank))
    doubtful = set()
    for start, end, axis, step in zip(first, last, along, by, strict=True):
        if not isinstance(axis, int) or not isinstance(step, int):
            return set(range(rank))
        if not _slice_is_sure(start, end, step, dims[axis % rank]):
            doubtful.add(axis % rank)
    return doubtful


def _slice_is_sure(start: Size, end: Size, step: int, dim: Size) -> bool:
    """Whether a slice is as long as the library says, however long the axis is. Each has one number at least."""
    if step < 1 or isinstance(start, str):
        return False
    if isinstance(end, str):  # the library's own names stand for anything, and a difference may be negative
        return start >= 0 and end.isidentifier() and not re.fullmatch(r"_d\d+", end)
    if isinstance(dim, int) or end >= FAR:
        return True
    return start >= 0 and (-FAR < end < 0 or (start == 0 and end == 1))


def _numbers_are_sure(node: ir.Node, output: ir.Value) -> bool:
    """Whether the numbers in a value are none, or follow from those in tensors of at most one dimension."""
    if NUMBERS not in output.metadata_props:
        return True
    numbers = numbers_of(output)
    if numbers is None or output.shape is None or list(output.shape) not in ([], [len(numbers)]):
        return False
    if node.op_type in ("Shape", "Size", "Concat"):
        return True
    data = node.inputs[1:] if node.op_type == "Where" else node.inputs
    return all(numbers_of(x) is not None for x in data if x is not None)


def _readable(shape: ir.Shape | None) -> ir.Shape | None:
    """A shape, in which a dimension that was simplified to a number is one."""
    if shape is None:
        return None
    return ir.Shape([_number(dim) for dim in _dims(shape)])


def _dims(shape: ir.Shape) -> list[Size | None]:
    return [dim if isinstance(dim, int) else dim.value for dim in shape]


def _number(dim: Size | None) -> Size | None:
    if isinstance(dim, str) and re.fullmatch(r"-?\d+", dim):
        dim = int(dim)
    return None if isinstance(dim, int) and dim < 0 else dim


def _name_dimensions(graph: ir.Graph) -> None:
    """Gives dimensions of inputs that have no name, or none that can stand in an expression, one of their own."""
    inputs = [value for value in graph.inputs if value.shape is not None and not value.is_initializer()]
    taken = {dim for value in inputs for dim in _dims(value.shape or ir.Shape([])) if isinstance(dim, str)}
    renamed: dict[str, str] = {}
    for name in sorted(taken):
        if not name.isidentifier() or name in FUNCTIONS:
            renamed[name] = _free(name, taken)
    for value in inputs:
        dims: list[Size] = []
        for axis, dim in enumerate(_dims(value.shape or ir.Shape([]))):
            if dim is None:
                dims.append(_free(f"{value.name}_{axis}", taken))
            else:
                dims.append(renamed.get(dim, dim) if isinstance(dim, str) else dim)
        value.shape = ir.Shape(dims)
    if all(value.name in SAME_SHAPE for value in inputs):  # a decoder's are longer by what it has seen before
        for value in inputs[1:]:
            _adopt_names(value, inputs[0])


# What means a function where it stands for a dimension.
FUNCTIONS = frozenset(("max", "Max", "min", "Min", "floor", "sqrt", "mod", "Mod"))


def _free(name: str, taken: set[str]) -> str:
    """An identifier like this name that is not taken yet."""
    name = re.sub(r"\W", "_", name)
    if not name.isidentifier() or name in FUNCTIONS:
        name = f"dim_{name}"
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _adopt_names(value: ir.Value, first: ir.Value) -> None:
    """Lets a value's dynamic dimensions be those of another of as many dimensions."""
    names, own = shape_of(first) or [], shape_of(value) or []
    if len(names) == len(own):
        both = [isinstance(a, str) and isinstance(b, str) for a, b in zip(names, own, strict=True)]
        value.shape = ir.Shape([a if same else b for a, b, same in zip(names, own, both, strict=True)])


def shape_of(value: ir.Value) -> list[Size] | None:
    """The value's shape; None if it, or some dimension of it, is unknown."""
    if value.shape is None:
        return None
    known = [dim for dim in _dims(value.shape) if dim is not None]
    return known if len(known) == len(value.shape) else None


def numbers_of(value: ir.Value) -> list[Size] | None:
    """The numbers in an integer tensor of at most one dimension; None if they are unknown."""
    found = value.metadata_props.get(NUMBERS)
    if found is not None:
        whole = value.dtype in (ir.DataType.INT64, ir.DataType.INT32)
        if not whole or value.shape is None or len(value.shape) > 1:
            return None
        return [number if isinstance(number, int) else _as_size(str(number)) for number in json.loads(found)]
    array = constant(value)
    if array is None or array.ndim > 1 or array.dtype.kind not in "iu":
        return None
    return [int(number) for number in array.reshape(-1)]


def _as_size(number: str) -> Size:
    """A number that an expression was simplified to, or the expression."""
    return int(number) if re.fullmatch(r"-?\d+", number) else number


def _reshaped_inputs(graph: ir.Graph, known: Mapping[str, object]) -> dict[str, tuple[ir.Value, int]]:
    """Where the sizes stand that inputs have only after a Reshape, products of their dimensions.

    One for each Reshape, which it can find itself: it must not be told its size from what it gives.
    """
    found: dict[str, tuple[ir.Value, int]] = {}
    for value in graph.inputs:
        for use in value.uses():
            if use.node.op_type != "Reshape" or use.node.domain != "" or use.idx != 0:
                continue
            dims = shape_of(use.node.outputs[0]) or []
            new = [(dim, axis) for axis, dim in enumerate(dims) if isinstance(dim, str) and dim not in known]
            if len(new) == 1 and 0 not in dims and all(part in known for part in new[0][0].split("*")):
                dim, axis = new[0]
                found.setdefault(dim, (use.node.outputs[0], axis))
    return found


class Sizes:
    """Makes tensors that hold sizes: constants where nothing is dynamic, else from the inputs' shapes, once each.

    ``[batch, -1, 4, 32]`` is ``Concat(Shape(input_ids)[0:1], [-1, 4, 32])``, at the start of the graph. Sizes that an
    input has only after a Reshape (the rows of multiple choice, ``batch*choices``) are read from what reshapes it;
    then the graph wants to be sorted.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._first = next(iter(graph), None)
        self._at: dict[str, tuple[ir.Value, int]] = {}
        for value in graph.inputs:
            if value.is_initializer():
                continue
            for axis, dim in enumerate(shape_of(value) or []):
                if isinstance(dim, str):
                    self._at.setdefault(dim, (value, axis))
        self._reshaped = _reshaped_inputs(graph, self._at)
        self._made: dict[tuple[Size, ...], ir.Value] = {}
        for node in graph:
            self._remember(node)

    def _remember(self, node: ir.Node) -> None:
        """Takes what an earlier call has made for ours."""
        if node.op_type == "Shape" and node.domain == "":
            source, start, end = node.inputs[0], node.attributes.get_int("start", 0), node.attributes.get_int("end", 0)
            name = next(
                (n for n, (v, axis) in self._sources() if v is source and (axis, axis + 1) == (start, end)), None
            )
            if name is not None:
                self._made.setdefault((name,), node.outputs[0])
        elif node.op_type == "Concat" and node.domain == "":
            numbers: list[Size] = []
            for part in node.inputs:
                array = constant(part)
                if array is not None and array.dtype == np.int64 and array.ndim == 1:
                    numbers += [int(n) for n in array]
                    continue
                made = next((key for key, value in self._made.items() if value is part and len(key) == 1), None)
                if made is None:
                    return
                numbers += made
            self._made.setdefault(tuple(numbers), node.outputs[0])

    def _sources(self) -> Iterable[tuple[str, tuple[ir.Value, int]]]:
        return chain(self._at.items(), self._reshaped.items())

    def possible(self, numbers: Sequence[Size]) -> bool:
        """Whether each is a number or the dimension of an input, as it is or reshaped."""
        return all(isinstance(n, int) or n in self._at or n in self._reshaped for n in numbers)

    def differ(self, left: Size, right: Size) -> bool:
        """Whether two are different for certain: numbers, or a dimension of an input and a negative number."""
        if isinstance(left, int) and isinstance(right, int):
            return left != right
        number, name = (left, right) if isinstance(left, int) else (right, left)
        return isinstance(number, int) and number < 0 and self.possible([name])

    def shape_possible(self, dims: Sequence[Size]) -> bool:
        """Whether all sizes but one, which Reshape finds itself, are numbers or dimensions of inputs."""
        return 0 not in dims and sum(isinstance(dim, str) and dim not in self._at for dim in dims) <= 1

    def shape(self, dims: Sequence[Size]) -> ir.Value | None:
        """What Reshape takes for this shape: one dynamic size is left to it. None if that is not possible."""
        if not self.shape_possible(dims):
            return None
        dynamic = [index for index, dim in enumerate(dims) if isinstance(dim, str)]
        unknown = [index for index in dynamic if dims[index] not in self._at]
        target = list(dims)
        if dynamic:
            target[(unknown or dynamic)[-1]] = -1
        return self.vector(target)

    def vector(self, numbers: Sequence[Size]) -> ir.Value | None:
        """A tensor of these numbers, int64, of one dimension; None if that is not possible."""
        key = tuple(numbers)
        if not self.possible(numbers):
            return None
        if key not in self._made:
            self._made[key] = self._make(key)
        return self._made[key]

    def made(self, value: ir.Value) -> bool:
        """Whether the value is one of these."""
        return any(value is made for made in self._made.values())

    def numbers(self, value: ir.Value) -> Sequence[Size] | None:
        """The numbers in a constant vector, or in one of these; None for any other."""
        array = constant(value)
        if array is not None:
            return [int(number) for number in array.reshape(-1)] if array.dtype.kind in "iu" else None
        return next((key for key, made in self._made.items() if made is value), None)

    def scalar(self, number: Size) -> ir.Value | None:
        """A tensor of this number, int64, of no dimension."""
        if isinstance(number, int):
            return add_initializer(self._graph, "size", np.array(number, dtype=np.int64))
        vector = self.vector([number])
        return None if vector is None else self._node("Squeeze", [vector], ir.Shape([]))

    def _make(self, numbers: tuple[Size, ...]) -> ir.Value:
        if all(isinstance(n, int) for n in numbers):
            return add_initializer(self._graph, "sizes", np.array(numbers, dtype=np.int64))
        if len(numbers) == 1:
            name = str(numbers[0])
            value, axis = self._at[name] if name in self._at else self._reshaped[name]
            return self._node("Shape", [value], ir.Shape([1]), {"start": axis, "end": axis + 1})
        parts: list[tuple[Size, ...]] = []
        for number in numbers:  # neighbouring numbers are one constant
            if parts and isinstance(number, int) and isinstance(parts[-1][-1], int):
                parts[-1] = (*parts[-1], number)
            else:
                parts.append((number,))
        inputs = [made for part in parts if (made := self.vector(part)) is not None]
        return self._node("Concat", inputs, ir.Shape([len(numbers)]), {"axis": 0})

    def _node(
        self, op_type: str, inputs: Sequence[ir.Value], shape: ir.Shape, attributes: dict[str, int] | None = None
    ) -> ir.Value:
        output = ir.Value(shape=shape, type=ir.TensorType(ir.DataType.INT64))
        node = ir.node(op_type, list(inputs), attributes=attributes, outputs=[output])
        if self._first is None:
            self._graph.append(node)
        else:
            self._graph.insert_before(self._first, node)
        return output
