"""Layout of a value's channels among its dimensions, and how reshaping operators move them.

A layout is an integer array that broadcasts over the value: ``layout[...]`` is the channel of the root (the linear
layer or stream that the value is a view of) at that position; dimensions that are not channels have size 1.
A ``[tokens, 128]`` value starts as ``[[0, 1, … 127]]``; split into heads, ``[batch, seq, 4, 32]``, it is that array
reshaped to ``[1, 1, 4, 32]``.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import integers

Layout = np.ndarray


def channels_last(rank: int, channels: int) -> Layout:
    """Returns the layout of a value whose last dimension is its channels."""
    return np.arange(channels).reshape((1,) * (rank - 1) + (channels,))


def moved(layout: Layout, node: ir.Node) -> list[Layout] | None:
    """Returns the layouts of a node's outputs if it only moves elements of its first input, else None."""
    if node.domain not in ("", "ai.onnx"):
        return None
    rule = RULES.get(node.op_type)
    return None if rule is None else rule(layout, node)


def _same(layout: Layout, _: ir.Node) -> list[Layout] | None:
    return [layout]


def _transpose(layout: Layout, node: ir.Node) -> list[Layout] | None:
    perm = node.attributes.get_ints("perm", list(reversed(range(layout.ndim))))
    return [layout.transpose(perm)]


def _reshape(layout: Layout, node: ir.Node) -> list[Layout] | None:
    """Returns the layout after a Reshape; channels must fill the last dimensions before and after, one token each."""
    shape = node.outputs[0].shape
    if shape is None or not _fills_last(layout):
        return None
    for first in range(len(shape)):
        last = [size for size in list(shape)[first:] if isinstance(size, int)]
        if len(last) == len(shape) - first and math.prod(last) == layout.size:
            return [layout.reshape((1,) * first + tuple(last))]
    return None


def _fills_last(layout: Layout) -> bool:
    """Returns whether the channels, in order, are the last dimensions of a value that has this layout."""
    leading = next((axis for axis, size in enumerate(layout.shape) if size != 1), layout.ndim)
    return all(size != 1 for size in layout.shape[leading:])


def _unsqueeze(layout: Layout, node: ir.Node) -> list[Layout] | None:
    axes = integers(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if axes is None else [np.expand_dims(layout, tuple(axes))]


def _squeeze(layout: Layout, node: ir.Node) -> list[Layout] | None:
    axes = integers(node.inputs[1]) if len(node.inputs) > 1 else None
    if axes is None or any(layout.shape[axis] != 1 for axis in axes):
        return None
    return [layout.squeeze(tuple(axes))]


def _split(layout: Layout, node: ir.Node) -> list[Layout] | None:
    axis = node.attributes.get_int("axis", 0)
    if layout.shape[axis] == 1:
        return [layout] * len(node.outputs)
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        sizes = integers(node.inputs[1])
        return None if sizes is None else np.split(layout, np.cumsum(sizes)[:-1], axis=axis)
    part = math.ceil(layout.shape[axis] / len(node.outputs))  # equal parts, of which the last may be smaller
    return np.split(layout, range(part, part * len(node.outputs), part), axis=axis)


def _gather(layout: Layout, node: ir.Node) -> list[Layout] | None:
    """Returns the layout after a Gather along a dimension without channels, with one index or a list."""
    axis = node.attributes.get_int("axis", 0) % layout.ndim
    indices = node.inputs[1].shape if node.inputs[1] is not None else None
    if layout.shape[axis] != 1 or indices is None or len(indices) > 1:
        return None
    return [layout.squeeze(axis) if len(indices) == 0 else layout]


def _slice(layout: Layout, node: ir.Node) -> list[Layout] | None:
    axes = integers(node.inputs[3]) if len(node.inputs) > 3 else None
    if axes is None or any(layout.shape[axis] != 1 for axis in axes):
        return None
    return [layout]


RULES = {
    "Identity": _same,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Split": _split,
    "Gather": _gather,
    "Slice": _slice,
}
