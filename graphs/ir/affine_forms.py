"""Affine forms: each value of a stream as ``scale∘base + shift``, with constant vectors that are not yet applied.

The algebra behind `graphs.passes.fold.fold_affine`. A value's form has a *root*, the node that computes its base (a
linear layer, or any other operator), *views*, the reshapes and transposes between the root and the value, and the two
vectors, in the value's own layout. The weights of a root are decided when a reader asks for the value (`Forms.settle`):

- the root is a linear layer that nothing else reads: scale goes into its weight's columns, and shift into its bias if
  some reader needs the plain value, or stays symbolic if all readers can absorb it;
- any other root: the base stays as it is, scale and shift stay symbolic, and a reader that needs the plain value gets
  one explicit Mul and Add (`Forms.explicit`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import add_initializer, float_constant
from graphs.ir.layout import Layout, channels_last
from graphs.ir.linear import Linear

# A channel's scale outside these bounds is not kept symbolic: base = x / scale, and weight·scale, must stay far from
# the ends of float32 (1e±38), since a later reader may square them. 2^±40 is about 1e±12.
LARGEST_SCALE = 2.0**40
SMALLEST_SCALE = 2.0**-40

# The largest value that base = x / scale may reach, with room for inputs that are larger than the samples.
LARGEST_BASE = 1e30

# A shift this many times the size of the value itself is not kept symbolic: scale∘base would be as large and of the
# opposite sign, and float32 loses digits to the cancellation. The centred error was seen to grow as 3e-7 times this
# ratio, against a bound of 1e-5.
LARGEST_SHIFT = 16.0


@dataclass
class Root:
    """Origin of a form's base: a linear layer that is not yet written, or a value that is in the graph."""

    value: ir.Value
    linear: Linear | None = None
    x: ir.Value | None = None  # the linear layer's input, after that input's scale and shift are folded in
    weight: np.ndarray | None = None  # [in, out], float64, input's scale folded in; None: the node's own, unchanged


@dataclass
class Form:
    """Affine form of one value: ``scale∘views(root) + shift``. None stands for a scale of 1, or a shift of 0."""

    root: Root
    layout: Layout
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None
    views: tuple[ir.Node, ...] = ()
    view_outputs: tuple[int, ...] = ()

    def times(self, k: np.ndarray) -> Form:
        scale = np.broadcast_to(k, self.layout.shape) * (1.0 if self.scale is None else self.scale)
        shift = None if self.shift is None else self.shift * k
        return replace(self, scale=scale, shift=shift)

    def plus(self, k: np.ndarray) -> Form:
        return replace(self, shift=np.broadcast_to(k, self.layout.shape) + (0.0 if self.shift is None else self.shift))

    @property
    def plain(self) -> bool:
        return self.scale is None and self.shift is None


@dataclass
class Forms:
    """Affine forms of a graph's values, and the writer of the nodes that compute them.

    Args:
        graph: The graph that is rewritten.
        absorbs: Returns whether all readers of a value can absorb its scale and shift.
        read_once: Returns whether a value has one reader and is not an output, in the graph before rewriting.
        magnitudes: Root mean square of values by name, measured on sample inputs; guards against cancellation.
    """

    graph: ir.Graph
    absorbs: Callable[[ir.Value], bool]
    read_once: Callable[[ir.Value], bool]
    magnitudes: Mapping[str, float]
    at: ir.Node | None = None  # new nodes are inserted before this one
    restarts: int = 0
    _forms: dict[ir.Value, Form] = field(default_factory=dict)
    _settled: dict[ir.Value, Form] = field(default_factory=dict)
    _explicit: dict[ir.Value, ir.Value] = field(default_factory=dict)
    _copies: dict[tuple[ir.Node, ir.Value], ir.Node] = field(default_factory=dict)  # copies of views, on other bases

    def known(self, value: ir.Value) -> bool:
        return value in self._forms

    def get(self, value: ir.Value) -> Form | None:
        """Returns the value's form; an untracked value whose last dimension is known is its own base."""
        if value in self._forms:
            return self._forms[value]
        shape = value.shape
        if shape is None or not shape or not isinstance(shape[-1], int):
            return None
        return Form(Root(value), channels_last(len(shape), shape[-1]))

    def set(self, value: ir.Value, form: Form) -> None:
        self._forms[value] = form

    def open(self, value: ir.Value) -> Form | None:
        """Returns the value's form for a reader that continues it: settled first, unless it is the only reader."""
        form = self.get(value)
        return self.settle(value) if form is not None and not self.pending(value) else form

    def pending(self, value: ir.Value) -> bool:
        """Returns whether the only reader of a value may still decide how it is computed."""
        return value in self._forms and value not in self._settled and self.read_once(value)

    def settle(self, value: ir.Value, keep: bool | None = None) -> Form:
        """Writes the value's base, once; returns a form whose root is in the graph and includes the views.

        Args:
            value: The value; its form must be known.
            keep: Whether scale and shift may stay symbolic. Default: where all readers can absorb them.
        """
        if value in self._settled:
            return self._settled[value]
        form = self.get(value)
        assert form is not None
        keep = (self.absorbs(value) if keep is None else keep) and not self._cancels(value, form)
        if form.root.linear is not None:
            settled = self._write_linear(form, with_shift=not keep)
        else:
            settled = replace(form, root=Root(self._view(form, form.root.value)), views=(), view_outputs=())
            if not keep and not settled.plain:
                settled = self._restart(value, settled)
        self._settled[value] = settled
        return settled

    def explicit(self, value: ir.Value) -> ir.Value:
        """Returns the plain value, for a reader that cannot absorb a scale or shift."""
        if value not in self._forms:
            return value
        if value not in self._explicit:
            settled = self.settle(value, keep=False if self.pending(value) else None)
            if settled.plain:
                self._explicit[value] = settled.root.value
            else:
                self._explicit[value] = self._as_found(value) or self._write_affine(value, settled)
        return self._explicit[value]

    def _as_found(self, value: ir.Value) -> ir.Value | None:
        """Returns the value itself if its own Mul or Add is still valid, since all its inputs are unchanged."""
        node = value.producer()
        if node is None or node.op_type not in ("Add", "Sub", "Mul", "Div"):
            return None
        return value if all(x is None or self._stands(x) for x in node.inputs) else None

    def _stands(self, value: ir.Value) -> bool:
        """Returns whether the value is in the graph unchanged."""
        if value not in self._forms:
            return True
        form = self._settled.get(value, self._forms[value])
        if form.plain and form.root.linear is None:
            views = zip(form.views, form.view_outputs, strict=True)
            path = [form.root.value, *(node.outputs[index] for node, index in views)]
            return path[-1] is value and all(node.inputs[0] is x for node, x in zip(form.views, path, strict=False))
        return (self._explicit.get(value) if value in self._settled else self._as_found(value)) is value

    def stream(self, value: ir.Value, result: ir.Value) -> Form:
        """Settles a stream before a layer adds to it, with scales that can be divided by; others restart at 1.

        Args:
            value: The stream.
            result: The stream after the addition.
        """
        settled = self.settle(value)
        if settled.scale is None:
            return settled
        size = np.abs(settled.scale)
        measured = [self.magnitudes.get(v.name or "", 0.0) for v in (value, result)]
        largest = max(x for x in (0.0, *measured) if np.isfinite(x))
        bad = (size < max(SMALLEST_SCALE, largest / LARGEST_BASE)) | (size > LARGEST_SCALE)
        if not bad.any():
            return settled
        found = self._as_found(value)
        if found is not None and settled.shift is None and (settled.scale[~bad] == 1).all():
            self._settled[value] = Form(Root(found), settled.layout)  # an earlier restart
            return self._settled[value]
        # Restart these channels at a scale of 1. A channel of scale 0 is constant (`shift`) so far: its base becomes 0.
        factor = self.initializer(value, "restart", np.where(bad, settled.scale, 1.0))
        base = self.node("Mul", [settled.root.value, factor], like=value)
        self.restarts += 1
        self._settled[value] = replace(settled, root=Root(base), scale=np.where(bad, 1.0, settled.scale))
        return self._settled[value]

    def _cancels(self, value: ir.Value, form: Form) -> bool:
        size = self.magnitudes.get(value.name or "")
        if form.shift is None or not size or not np.isfinite(size):
            return False
        return bool(np.sqrt(np.mean(np.square(form.shift))) > LARGEST_SHIFT * size)

    def _restart(self, value: ir.Value, settled: Form) -> Form:
        """Makes the plain value the base of a new form, and counts a restart."""
        if self.absorbs(value):
            self.restarts += 1
        plain = self._as_found(value) or self._write_affine(value, settled)
        self._explicit[value] = plain
        return Form(Root(plain), settled.layout)

    def _write_affine(self, value: ir.Value, settled: Form) -> ir.Value:
        result = settled.root.value
        if settled.scale is not None:
            result = self.node("Mul", [result, self.initializer(value, "scale", settled.scale)], like=value)
        if settled.shift is not None:
            result = self.node("Add", [result, self.initializer(value, "shift", settled.shift)], like=value)
        return result

    def _write_linear(self, form: Form, with_shift: bool) -> Form:
        scale = None if form.scale is None else _by_channel(form.layout, form.scale)
        bias = None if form.shift is None or not with_shift else _by_channel(form.layout, form.shift)
        base = self._view(form, self.linear(form.root, scale, bias))
        return Form(Root(base), form.layout, shift=None if with_shift else form.shift)

    def linear(self, root: Root, scale: np.ndarray | None, bias: np.ndarray | None) -> ir.Value:
        """Writes x·(weight∘scale) + bias; the existing node is kept where it already computes that.

        Args:
            root: A linear root.
            scale: ``[out]``, the factors of the weight's columns.
            bias: ``[out]``; None for no bias.
        """
        linear = root.linear
        assert linear is not None
        x = linear.x if root.x is None else root.x
        own = linear.bias64()
        same_bias = (own is None and bias is None) or (
            own is not None and bias is not None and np.array_equal(own, bias)
        )
        if x is linear.x and root.weight is None and scale is None and same_bias:
            return linear.node.outputs[0]
        weight, transposed = linear.weight, linear.transposed
        if root.weight is not None or scale is not None:
            array = linear.weight64() if root.weight is None else root.weight
            array = array if scale is None else array * scale
            weight, transposed = self.initializer(linear.weight, "folded", array), False
        output = linear.node.outputs[0]
        if transposed or (bias is not None and x.shape is not None and len(x.shape) == 2):
            vector = [] if bias is None else [self.initializer(linear.bias or linear.weight, "folded_bias", bias)]
            attributes = {"transB": 1} if transposed else {}
            return self.node("Gemm", [x, weight, *vector], like=output, attributes=attributes)
        if bias is None:
            return self.node("MatMul", [x, weight], like=output)
        if x is linear.x and weight is linear.weight and own is None:
            biased = _sum_with(output, bias)
            if biased is not None:
                return biased
        product = self.node("MatMul", [x, weight], like=output)
        return self.node("Add", [product, self.initializer(linear.weight, "folded_bias", bias)], like=output)

    def _view(self, form: Form, base: ir.Value) -> ir.Value:
        """Repeats the form's views on a base, without those that exist on it."""
        for node, index in zip(form.views, form.view_outputs, strict=True):
            if base is node.inputs[0]:
                base = node.outputs[index]
                continue
            copy = self._copies.get((node, base))
            if copy is None:
                outputs = [ir.Value(shape=o.shape, type=o.type) for o in node.outputs]
                copy = ir.node(node.op_type, [base, *node.inputs[1:]], attributes=node.attributes, outputs=outputs)
                self._insert(copy)
                self._copies[node, base] = copy
            base = copy.outputs[index]
        return base

    def node(
        self, op_type: str, inputs: list[ir.Value], like: ir.Value, attributes: Mapping[str, int] | None = None
    ) -> ir.Value:
        """Inserts a node whose one output has the shape and type of `like`; returns the output."""
        output = ir.Value(shape=like.shape, type=like.type)
        self._insert(ir.node(op_type, inputs, attributes=attributes, outputs=[output]))
        return output

    def _insert(self, node: ir.Node) -> None:
        if self.at is None:
            self.graph.append(node)
        else:
            self.graph.insert_before(self.at, node)

    def initializer(self, like: ir.Value, suffix: str, array: np.ndarray) -> ir.Value:
        """Adds a constant, rounded from float64 to the type of `like` and named after it."""
        dtype = np.float32 if like.dtype is None else like.dtype.numpy()
        return add_initializer(self.graph, f"{like.name}.{suffix}", array.astype(dtype))


def _by_channel(layout: Layout, vector: np.ndarray) -> np.ndarray:
    """Returns a vector in a view's layout, in the order of the root's channels."""
    result = np.empty(layout.size)
    result[layout.reshape(-1)] = np.broadcast_to(vector, layout.shape).reshape(-1)
    return result


def _sum_with(product: ir.Value, bias: np.ndarray) -> ir.Value | None:
    """Returns product + bias if the graph already computes exactly that."""
    for use in product.uses():
        addend = float_constant(use.node.inputs[1 - use.idx]) if use.node.op_type == "Add" else None
        if addend is not None and addend.size in (1, bias.size) and (addend.reshape(-1) == bias).all():
            return use.node.outputs[0]
    return None
