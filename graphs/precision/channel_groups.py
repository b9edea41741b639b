"""Groups of channels that must share a unit (a positive scale), so that the graph computes the same.

Every channel of an activation may have a unit of its own if its readers account for it: ``x = unit∘x'``. A linear layer
can read any units and write any others, since they can be folded into its weight; the operators between linear layers
tie units together:

- a sum and both its summands have the same units, and so have a Relu and its input, since no positive unit changes it;
- a product with one number per token keeps the units of its other factor, and a choice between two values for each
  token ties theirs together;
- views move channels, and weighted means over tokens (softmax times values) keep them;
- a product of queries and keys is unchanged only where the unit of each query channel is the inverse of its key's;
- any other operator (softmax, layer norm, tanh), and an output of the graph, needs a unit of 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import float_constant
from graphs.ir.layout import RULES, channels_last, moved
from graphs.ir.linear import Linear, as_linear, is_float_matrix

# The group of the channels whose unit is 1.
PLAIN = 0


@dataclass
class ChannelGroups:
    """Groups of the channels of a graph's values; each group has one unit, which can be chosen freely.

    `of(value)` returns the group of each of a value's channels, and whether its unit is the inverse of the group's.
    """

    graph: ir.Graph
    _ids: dict[ir.Value, np.ndarray] = field(default_factory=dict)  # groups in the value's layout
    _parents: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    _inverse: np.ndarray = field(default_factory=lambda: np.zeros(1, dtype=bool))  # of the parent's unit

    def __post_init__(self) -> None:
        for node in self.graph:
            self._follow(node)
        for value in self.graph.outputs:
            self._plain(value)
        for value in list(self._ids):
            if any(use.node.graph is not self.graph for use in value.uses()):  # a reader in a branch or loop
                self._plain(value)

    @property
    def count(self) -> int:
        """The number of groups; group 0 has a unit of 1."""
        return len(self._parents)

    @property
    def values(self) -> Iterable[ir.Value]:
        """The values that have channels in other groups than 0."""
        return self._ids.keys()

    def of(self, value: ir.Value) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns the groups of a value's channels, and which are inverse, in its layout; None if all units are 1."""
        if value not in self._ids:
            return None
        return self._find(self._ids[value])

    def unit(self, value: ir.Value, units: np.ndarray) -> np.ndarray | None:
        """Returns a value's units in its layout, from the units of all groups; None where all are 1."""
        found = self.of(value)
        if found is None:
            return None
        unit = np.where(found[1], 1.0 / units[found[0]], units[found[0]])
        return None if (unit == 1.0).all() else unit

    def _follow(self, node: ir.Node) -> None:
        if node.domain not in ("", "ai.onnx"):
            self._plain(*node.inputs)
            return
        linear = scaled_linear(node)
        if linear is not None:
            self._follow_linear(node, linear)
        elif node.op_type in ("Gather", "Slice") and node.inputs[0] is not None and is_float_matrix(node.inputs[0]):
            self._follow_table(node)
        elif node.op_type in ("Add", "Sub"):
            self._follow_sum(node)
        elif node.op_type == "Mul" and any(float_constant(x) is not None for x in node.inputs):
            self._follow_factor(node)
        elif node.op_type == "Mul":
            self._follow_token_factor(node)
        elif node.op_type == "Relu":
            self._same(node)
        elif node.op_type == "Where":
            self._follow_choice(node)
        elif node.op_type in RULES:
            self._follow_view(node)
        elif node.op_type == "MatMul":
            self._follow_product(node)
        else:
            self._plain(*node.inputs)

    def _follow_linear(self, node: ir.Node, linear: Linear) -> None:
        if linear.x in self._ids and self._ids[linear.x].shape[-1] != self._ids[linear.x].size:
            self._plain(linear.x)  # a sum over tokens, or over the channels of one head
        rank = None if linear.x.shape is None else len(linear.x.shape)
        if rank is not None:
            self._ids[node.outputs[0]] = self._new(channels_last(rank, linear.width))
        addend = node.inputs[2] if len(node.inputs) > 2 else None
        if addend is not None and float_constant(addend) is None:
            self._tie(node.outputs[0], addend)

    def _follow_table(self, node: ir.Node) -> None:
        """Follows an embedding: a Gather or Slice of rows of a constant matrix."""
        table, shape = node.inputs[0], node.outputs[0].shape
        assert table is not None
        width = None if table.shape is None else table.shape[-1]
        rows = node.op_type == "Gather" and node.attributes.get_int("axis", 0) == 0
        if shape is None or not isinstance(width, int) or shape[-1] != width:
            return
        if rows or (node.op_type == "Slice" and moved(channels_last(2, width), node) is not None):
            self._ids[node.outputs[0]] = self._new(channels_last(len(shape), width))

    def _follow_sum(self, node: ir.Node) -> None:
        left, right = node.inputs
        for x, other in ((left, right), (right, left)):
            constant = float_constant(other)
            if x is not None and constant is not None:
                ids = self._ids.get(x)
                if ids is not None and _fits(constant, ids):
                    self._ids[node.outputs[0]] = ids
                else:
                    self._plain(x)
                return
        a, b = (None if value is None else self._ids.get(value) for value in (left, right))
        if a is not None and b is not None and a.size == b.size and a.shape[-b.ndim :] == b.shape[-a.ndim :]:
            self._ids[node.outputs[0]] = a if a.ndim >= b.ndim else b  # one may be broadcast over texts
            self._union(a.reshape(-1), b.reshape(-1))
        else:
            self._plain(left, right)

    def _follow_factor(self, node: ir.Node) -> None:
        """Follows a product with one constant per channel, which absorbs units as a linear layer does."""
        x, constant = node.inputs if float_constant(node.inputs[1]) is not None else reversed(node.inputs)
        ids, factor = (None if x is None else self._ids.get(x)), float_constant(constant)
        assert factor is not None
        if ids is not None and factor.size > 1 and _fits(factor, ids):
            self._ids[node.outputs[0]] = self._new(np.arange(ids.size).reshape(ids.shape))
        elif ids is not None and factor.size == 1:
            self._ids[node.outputs[0]] = ids
        else:
            self._plain(x)

    def _follow_token_factor(self, node: ir.Node) -> None:
        """Follows a product with one number per token, such as the mask of padding, which keeps units."""
        for x, factor in (node.inputs, reversed(node.inputs)):
            ids, shape = (None if x is None else self._ids.get(x)), None if factor is None else factor.shape
            if ids is None or shape is None or factor in self._ids or len(shape) > ids.ndim:
                continue
            if all(size == 1 or channels == 1 for size, channels in zip(shape[::-1], ids.shape[::-1], strict=False)):
                self._ids[node.outputs[0]] = ids
                return
        self._plain(*node.inputs)

    def _follow_choice(self, node: ir.Node) -> None:
        """Follows a choice between two values for each token, whose channels then have the same units."""
        chosen, left, right = node.inputs
        a, b = (None if value is None else self._ids.get(value) for value in (left, right))
        shape = None if chosen is None else chosen.shape
        if a is None or b is None or shape is None or a.shape != b.shape or len(shape) > a.ndim:
            self._plain(left, right)
        elif all(size == 1 or channels == 1 for size, channels in zip(shape[::-1], a.shape[::-1], strict=False)):
            self._ids[node.outputs[0]] = a
            self._union(a.reshape(-1), b.reshape(-1))
        else:
            self._plain(left, right)

    def _same(self, node: ir.Node) -> None:
        x = node.inputs[0]
        if x in self._ids:
            self._ids[node.outputs[0]] = self._ids[x]

    def _follow_view(self, node: ir.Node) -> None:
        x = node.inputs[0]
        if x not in self._ids:
            return
        views = moved(self._ids[x], node)
        if views is None:
            self._plain(x)
            return
        for output, ids in zip(node.outputs, views, strict=True):
            self._ids[output] = ids

    def _follow_product(self, node: ir.Node) -> None:
        """Follows a product of queries and keys, or of attention weights and values."""
        left, right = node.inputs
        a, b = (None if v is None else self._ids.get(v) for v in (left, right))
        if b is None:
            self._plain(left)
        elif a is None and b.ndim >= 2 and b.shape[-2] == 1 and len(node.outputs[0].shape or ()) == b.ndim:
            self._ids[node.outputs[0]] = b
        elif a is not None and a.ndim == b.ndim >= 2 and a.shape == b.swapaxes(-1, -2).shape and b.shape[-1] == 1:
            self._union(a.reshape(-1), b.swapaxes(-1, -2).reshape(-1), inverse=True)
        else:
            self._plain(left, right)

    def _new(self, numbers: np.ndarray) -> np.ndarray:
        first = len(self._parents)
        self._parents = np.concatenate([self._parents, np.arange(first, first + numbers.size)])
        self._inverse = np.concatenate([self._inverse, np.zeros(numbers.size, dtype=bool)])
        return first + numbers

    def _plain(self, *values: ir.Value | None) -> None:
        for value in values:
            if value is not None and value in self._ids:
                ids = self._ids[value].reshape(-1)
                self._union(ids, np.full(ids.shape, PLAIN))

    def _tie(self, left: ir.Value, right: ir.Value) -> None:
        a, b = self._ids.get(left), self._ids.get(right)
        if a is None or b is None or a.shape != b.shape:
            self._plain(left, right)
        else:
            self._union(a.reshape(-1), b.reshape(-1))

    def _find(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        roots, inverse = ids, np.zeros(ids.shape, dtype=bool)
        while (self._parents[roots] != roots).any():
            inverse = inverse ^ self._inverse[roots]
            roots = self._parents[roots]
        return roots, inverse

    def _union(self, left: np.ndarray, right: np.ndarray, *, inverse: bool = False) -> None:
        """Merges each group of `left` with the group of `right` at the same position, or with its inverse."""
        while True:
            (a, by_a), (b, by_b) = self._find(left), self._find(right)
            opposite = by_a ^ by_b ^ inverse
            own_inverse = (a == b) & opposite & (a != PLAIN)
            self._parents[a[own_inverse]] = PLAIN
            if (a == b).all():
                return
            # Of several partners, the last one is stored here; the next round finds that the others differ.
            apart, low, high = a != b, np.minimum(a, b), np.maximum(a, b)
            self._parents[high[apart]] = low[apart]
            self._inverse[high[apart]] = opposite[apart]


def scaled_linear(node: ir.Node) -> Linear | None:
    """Returns the node as a linear layer, including a Gemm whose third input is a residual; else None."""
    linear = as_linear(node)
    if linear is not None or node.op_type != "Gemm" or node.domain != "" or len(node.inputs) < 3:
        return linear
    attributes = node.attributes
    plain = all(attributes.get_float(n, 1.0) == 1.0 for n in ("alpha", "beta")) and not attributes.get_int("transA", 0)
    x, weight = node.inputs[:2]
    if not plain or x is None or weight is None or not is_float_matrix(weight) or float_constant(x) is not None:
        return None
    return Linear(node, x, weight, transposed=bool(attributes.get_int("transB", 0)), bias=None)


def _fits(constant: np.ndarray, ids: np.ndarray) -> bool:
    """Returns whether a constant has at most one number for each channel."""
    if constant.ndim > ids.ndim:
        return False
    try:
        return np.broadcast_shapes(constant.shape, ids.shape) == ids.shape
    except ValueError:
        return False
