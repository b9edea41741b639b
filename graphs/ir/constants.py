"""Readers and writers of a graph's constants."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


def constant(value: ir.Value | None) -> np.ndarray | None:
    """Returns the array of an initializer or a Constant node; None for any other value.

    An initializer that is also an input is only a default, and must not be folded.
    """
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def float_constant(value: ir.Value | None) -> np.ndarray | None:
    """Returns a floating-point constant in float64, in which folding is computed and then rounded once."""
    array = constant(value)
    return array.astype(np.float64) if array is not None and array.dtype.kind == "f" else None


def integers(value: ir.Value | None) -> list[int] | None:
    """Returns the numbers of a constant integer tensor, such as axes or a shape; None for any other value."""
    array = constant(value)
    return None if array is None else [int(i) for i in array.reshape(-1)]


def sliced(node: ir.Node, rank: int) -> dict[int, tuple[int, int | None]] | None:
    """Returns the start and end of a Slice along each axis that it cuts; None for the end of the axis.

    Returns None where they or the axes are not constant, or steps are not 1. TensorFlow's slices name axes that they do
    not cut.

    Args:
        node: A Slice.
        rank: The rank of its input.
    """
    _, first, last, along, by = [*node.inputs, None, None][:5]
    starts, ends, axes = integers(first), integers(last), integers(along)
    steps = [1] if by is None else integers(by)
    if starts is None or ends is None or axes is None or steps is None or any(step != 1 for step in steps):
        return None
    bounds = {
        axis % rank: (start, None if end >= np.iinfo(np.int32).max else end)
        for axis, start, end in zip(axes, starts, ends, strict=True)
    }
    return {axis: found for axis, found in bounds.items() if found != (0, None)}


def add_initializer(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    """Registers a new initializer under `name`, with a number appended where the name is taken."""
    taken = {value.name for value in graph.inputs} | {output.name for node in graph for output in node.outputs}
    unique, number = name, 1
    while unique in graph.initializers or unique in taken:
        number += 1
        unique = f"{name}.{number}"
    tensor = ir.tensor(np.asarray(array, order="C"), name=unique)
    value = ir.Value(name=unique, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value
