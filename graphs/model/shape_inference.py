"""Symbolic shape inference: shapes, and numbers that hold sizes, in terms of the inputs' dimensions."""

from __future__ import annotations

import re

import onnx_ir as ir
import onnx_ir.passes.common as common_passes
import onnx_shape_inference

from graphs.model.quiet import quiet
from graphs.model.sizes import NUMBERS, Size, dims_of, numbers_of, shape_of

# transformers' encoders take these inputs with one shape, whatever an exporter calls the dimensions of each.
SAME_SHAPE = ("input_ids", "attention_mask", "token_type_ids", "position_ids")

# Axes of the labels that graphs with a loss take: batch and sequence.
MOST_LABEL_AXES = 2

# Operators that broadcast their inputs: two dynamic sizes that meet there need not be equal, one may be 1.
BROADCASTING = frozenset(
    "Add Sub Mul Div Mod Pow Max Min Mean Sum Where Expand PRelu Equal Less LessOrEqual Greater GreaterOrEqual "  # noqa: SIM905
    "And Or Xor BitShift BitwiseAnd BitwiseOr BitwiseXor".split()
)

# Ends of slices from this number on mean "to the end".
FAR = 2**31 - 1

# The domain of operators that the inference knows nothing of but the shapes of their outputs.
UNKNOWN_DOMAIN = "graphs.unknown"

# Words that are functions where they stand for a dimension.
FUNCTIONS = frozenset(("max", "Max", "min", "Min", "floor", "sqrt", "mod", "Mod"))


def infer_sizes(model: ir.Model) -> None:
    """Infers shapes, and the numbers in tensors that hold sizes, in terms of the inputs' dimensions.

    onnx_shape_inference assumes a few things that need not hold: that two dynamic sizes which are broadcast are equal,
    and that a slice is as long as it asks for. Results that rest on such an assumption are discarded.
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
    """Removes the inferred numbers, which would be written into the file; shapes stay."""
    for node in model.graph:
        for output in node.outputs:
            output.metadata_props.pop(NUMBERS, None)


def _infer(model: ir.Model) -> None:
    """Infers repeatedly, each time without the nodes whose results are uncertain, until none is."""
    for value in model.graph.inputs:
        if value.is_initializer():  # a default, which may be another number in each run
            model.graph.initializers.pop(str(value.name))
            value.const_value = None
    hidden: dict[ir.Node, list[ir.Shape | None]] = {}
    for node in model.graph:
        if node.domain != "" or _has_subgraph(node):  # only the stated shapes of their outputs are known
            _hide(node, [output.shape for output in node.outputs], hidden)
    while True:
        _forget(model.graph, hidden)
        _call_library(model)
        # Shapes that are missing come first, since what follows from them is then certain.
        uncertain: dict[ir.Node, list[ir.Shape | None]] = {
            node: [shape] for node in model.graph if (shape := _filled_shape(node)) is not None
        } or {node: shapes for node in model.graph if node not in hidden and (shapes := _uncertain_shapes(node))}
        if not uncertain:
            return
        for node, shapes in uncertain.items():
            _hide(node, shapes, hidden)


def _hide(node: ir.Node, shapes: list[ir.Shape | None], hidden: dict[ir.Node, list[ir.Shape | None]]) -> None:
    """Turns a node into one of which only these output shapes are known."""
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


def _uncertain_shapes(node: ir.Node) -> list[ir.Shape | None]:
    """Returns the shapes of a node's outputs, corrected where uncertain; an empty list if all are certain."""
    sizes = _corrections(node)
    if not sizes and all(_numbers_are_certain(node, output) for output in node.outputs):
        return []
    shapes = [_readable(output.shape) for output in node.outputs]
    return [
        None if shape is None else ir.Shape([sizes.get(axis, dim) for axis, dim in enumerate(dims_of(shape))])
        for shape in shapes
    ]


def _filled_shape(node: ir.Node) -> ir.Shape | None:
    """Returns the shape of a ConstantOfShape, which the library infers from constants only; None if it is known."""
    if node.op_type != "ConstantOfShape" or node.domain != "" or node.outputs[0].shape is not None:
        return None
    numbers = None if node.inputs[0] is None else numbers_of(node.inputs[0])
    return None if numbers is None else ir.Shape(numbers)


def _corrections(node: ir.Node) -> dict[int, Size | None]:
    """Returns the axes whose inferred size may be wrong, with the right size; None where that is unknown."""
    shape = node.outputs[0].shape if node.outputs else None
    if shape is None or node.domain != "":
        return {}
    if node.op_type in BROADCASTING:
        sizes = {axis: _broadcast(node, axis - len(shape)) for axis in range(len(shape))}
        return {axis: size for axis, size in sizes.items() if shape[axis] != size}
    if node.op_type == "Slice":
        return dict.fromkeys(_uncertain_slices(node, len(shape)))
    return {}


def _broadcast(node: ir.Node, axis: int) -> Size | None:
    """Returns the broadcast size of an axis, counted from the last: the largest one; all others equal it or are 1."""
    operands = [shape_of(x) for x in node.inputs if x is not None]
    if node.op_type == "Expand" and node.inputs[1] is not None:
        operands[1] = numbers_of(node.inputs[1])
    sizes = {dims[axis] for dims in operands if dims is not None and len(dims) >= -axis} - {1}
    numbers = [size for size in sizes if isinstance(size, int)]
    if len(sizes) <= 1 or numbers:
        return next(iter(numbers or sizes), 1)
    largest = ir.SymbolicDim(f"Max({', '.join(map(str, sizes))})").simplify().value
    return largest if largest in sizes else None


def _uncertain_slices(node: ir.Node, rank: int) -> set[int]:
    x, starts, ends, axes, steps = [*node.inputs, None, None][:5]
    dims = None if x is None else shape_of(x)
    first, last = (None if v is None else numbers_of(v) for v in (starts, ends))
    if dims is None or first is None or last is None:
        return set()  # the library infers nothing there
    along = list(range(len(first))) if axes is None else numbers_of(axes)
    by = [1] * len(first) if steps is None else numbers_of(steps)
    if along is None or by is None:
        return set(range(rank))
    uncertain = set()
    for start, end, axis, step in zip(first, last, along, by, strict=True):
        if not isinstance(axis, int) or not isinstance(step, int):
            return set(range(rank))
        if not _slice_is_certain(start, end, step, dims[axis % rank]):
            uncertain.add(axis % rank)
    return uncertain


def _slice_is_certain(start: Size, end: Size, step: int, dim: Size) -> bool:
    """Returns whether a slice has the inferred length, however long the axis is, if it has one element at least."""
    if step < 1 or isinstance(start, str):
        return False
    if isinstance(end, str):  # names that the library invents may be any size, and a difference may be negative
        return start >= 0 and end.isidentifier() and not re.fullmatch(r"_d\d+", end)
    if isinstance(dim, int) or end >= FAR:
        return True
    return start >= 0 and (-FAR < end < 0 or (start == 0 and end == 1))


def _numbers_are_certain(node: ir.Node, output: ir.Value) -> bool:
    """Returns whether a value has no inferred numbers, or they follow from tensors of at most one dimension."""
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
    """Returns a shape with dimensions that were simplified to the text of a number as numbers."""
    if shape is None:
        return None
    return ir.Shape([_number(dim) for dim in dims_of(shape)])


def _number(dim: Size | None) -> Size | None:
    if isinstance(dim, str) and re.fullmatch(r"-?\d+", dim):
        dim = int(dim)
    return None if isinstance(dim, int) and dim < 0 else dim


def _name_dimensions(graph: ir.Graph) -> None:
    """Names the dimensions of inputs that have no name, or one that cannot stand in an expression.

    An input of a text that declares no shape gets that of the ids, or [batch, sequence].
    """
    ids = next((value.shape for value in graph.inputs if value.name == SAME_SHAPE[0] and value.shape is not None), None)
    for value in graph.inputs:
        if value.name in SAME_SHAPE and value.shape is None and not value.is_initializer():
            value.shape = ir.Shape(("batch", "sequence") if ids is None else dims_of(ids))
    inputs = [value for value in graph.inputs if value.shape is not None and not value.is_initializer()]
    taken = {dim for value in inputs for dim in dims_of(value.shape or ir.Shape([])) if isinstance(dim, str)}
    renamed: dict[str, str] = {}
    for name in sorted(taken):
        if not name.isidentifier() or name in FUNCTIONS:
            renamed[name] = _free(name, taken)
    for value in inputs:
        dims: list[Size] = []
        for axis, dim in enumerate(dims_of(value.shape or ir.Shape([]))):
            if dim is None:
                dims.append(_free(f"{value.name}_{axis}", taken))
            else:
                dims.append(renamed.get(dim, dim) if isinstance(dim, str) else dim)
        value.shape = ir.Shape(dims)
    texts = [value for value in inputs if value.name in SAME_SHAPE]
    # Labels have at most one number for each token. A decoder's mask is longer by the tokens in its cache.
    if all(len(value.shape or ()) <= MOST_LABEL_AXES for value in inputs if value not in texts):
        for value in texts[1:]:
            _adopt_names(value, texts[0])


def _free(name: str, taken: set[str]) -> str:
    """Returns an identifier like this name that is not taken yet, and marks it as taken."""
    name = re.sub(r"\W", "_", name)
    if not name.isidentifier() or name in FUNCTIONS:
        name = f"dim_{name}"
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _adopt_names(value: ir.Value, first: ir.Value) -> None:
    """Gives a value's dynamic dimensions the names of those of another value of the same rank."""
    names, own = shape_of(first) or [], shape_of(value) or []
    if len(names) == len(own):
        both = [isinstance(a, str) and isinstance(b, str) for a, b in zip(names, own, strict=True)]
        value.shape = ir.Shape([a if same else b for a, b, same in zip(names, own, both, strict=True)])
