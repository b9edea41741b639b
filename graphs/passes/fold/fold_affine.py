"""Folding of NoNorm, biases and constant scales into the weights around them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.affine_forms import Form, Forms, Root
from graphs.ir.constants import constant, float_constant
from graphs.ir.consumers import Readers
from graphs.ir.layout import channels_last, moved
from graphs.ir.linear import Linear, as_linear
from graphs.ir.rewrite import Rewrite


class FoldAffine(Rewrite):
    """Folds NoNorm, biases and constant scales into weights by a data-flow analysis over affine forms.

    Before::

        x ── Gemm(W1, b1) ── Relu ── Gemm(W2, b2) ── Add(x) ── Mul(γ) ── Add(β) ── Gemm(W3, b3) ── …

    After, with x = C∘u + S, C' = γC and S' = γ(S + b2) + β::

        u ── Gemm(C∘W1, b1 + S·W1) ── Relu ── MatMul(W2/C) ── Add(u) ── Gemm(C'∘W3, b3 + S'·W3) ── …

    Each value of a stream is carried as ``scale∘base + shift``. A constant scale of the query goes into its weight; the
    value's bias passes through softmax, whose rows sum to 1, into the shift of the stream that attention writes to; the
    key's bias adds one number to each row of scores, which softmax cancels, and is dropped. A reader that cannot absorb
    scale and shift gets one explicit Mul and one Add.

    Args:
        bias_in_gemm: Whether a residual block's bias stays in its Gemm instead of being folded into the shift, for
            providers that need a constant vector there.
        magnitudes: Root mean square of values by name, measured on sample inputs. A shift far larger than its value is
            not kept symbolic, since float32 would lose digits to cancellation; without an entry there is no such guard.

    After a call, `matches` is the number of removed nodes, and `restarts` the number of streams whose affine form was
    written out or rescaled explicitly.
    """

    def __init__(self, *, bias_in_gemm: bool = False, magnitudes: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.bias_in_gemm = bias_in_gemm
        self.magnitudes = magnitudes or {}
        self.restarts = 0

    def rewrite(self, model: ir.Model) -> None:
        graph = model.graph
        before = graph.num_nodes()
        readers = Readers(graph)
        forms = Forms(graph, readers.absorbs, readers.read_once, self.magnitudes)
        for node in list(graph):
            forms.at = node
            if not self._follow(node, forms, readers):
                _read_plain(node, forms)
        forms.at = None
        changed = graph.num_nodes() != before
        for index, output in enumerate(graph.outputs):
            plain = forms.explicit(output)
            if plain is not output:
                changed = True
                _rename(output, plain)
                graph.outputs[index] = plain
        self.restarts = forms.restarts
        removed = common_passes.RemoveUnusedNodesPass()(model).modified
        self.matches = max(1, before - graph.num_nodes()) if changed or removed else 0

    def _follow(self, node: ir.Node, forms: Forms, readers: Readers) -> bool:
        """Sets the forms of the node's outputs; returns False if the node is not affine and must read plain values."""
        linear = as_linear(node)
        if linear is not None:
            return _follow_linear(node, linear, forms)
        if node.op_type == "MatMul" and node.domain == "":
            return _follow_attention(node, forms, readers)
        if node.op_type in ("Add", "Sub", "Mul", "Div") and node.domain == "":
            if any(constant(x) is not None for x in node.inputs):
                return _follow_constant(node, forms)
            return node.op_type == "Add" and self._follow_sum(node, forms, readers)
        return _follow_view(node, forms)

    def _follow_sum(self, node: ir.Node, forms: Forms, readers: Readers) -> bool:
        """Follows a residual sum: one side is a stream, the other a linear layer that writes to it."""
        left, right = node.inputs
        assert left is not None
        assert right is not None
        writers = [v for v in (left, right) if forms.pending(v) and _writes(forms.get(v))]
        if not writers or not _aligned(left, right, forms):
            return _follow_plain_sum(node, forms)
        # Of two linear layers the later one writes, since the other's result exists by then.
        writer = max(writers, key=lambda v: readers.position(v.producer()))
        stream_value = left if writer is right else right
        if forms.pending(stream_value) and not readers.absorbs(node.outputs[0]):
            # The sum must be plain in the end, and the first layer's bias is free in its Gemm.
            forms.settle(stream_value, keep=False)
        stream, written = forms.stream(stream_value, node.outputs[0]), forms.get(writer)
        assert written is not None
        scale, shift = written.scale, written.shift
        if stream.scale is not None:
            scale = (1.0 if scale is None else scale) / stream.scale
            scale = np.broadcast_to(scale, written.layout.shape)
        bias = None
        if self.bias_in_gemm and shift is not None:
            bias, shift = (shift if stream.scale is None else shift / stream.scale), None
        flat = [None if v is None else v.reshape(-1) for v in (scale, bias)]
        total = _sum(node, forms, stream.root.value, forms.linear(written.root, *flat), stream_value)
        form = Form(Root(total), stream.layout, stream.scale, stream.shift)
        forms.set(node.outputs[0], form if shift is None else form.plus(shift))
        return True


def _follow_linear(node: ir.Node, linear: Linear, forms: Forms) -> bool:
    output = node.outputs[0]
    rank = None if linear.x.shape is None else len(linear.x.shape)
    if rank is None:
        return False
    bias = linear.bias64()
    if bias is not None and not bias.any():
        bias = None  # inlined from an operator that requires a bias
    root = Root(output, linear)
    if forms.known(linear.x):
        read = forms.get(linear.x)
        assert read is not None
        if read.layout.shape[-1] != read.layout.size:
            return False  # a sum over tokens, or over the channels of one head
        source = forms.settle(linear.x)
        root.x = source.root.value
        if source.scale is not None:
            root.weight = source.scale.reshape(-1, 1) * linear.weight64()
        if source.shift is not None:
            carried = source.shift.reshape(-1) @ linear.weight64()
            bias = carried if bias is None else bias + carried
    layout = channels_last(rank, linear.width)
    shift = None if bias is None else bias.reshape(layout.shape)
    forms.set(output, Form(root, layout, shift=shift))
    return True


def _follow_constant(node: ir.Node, forms: Forms) -> bool:
    """Follows +, −, ×, ÷ with a constant on one side."""
    left, right = node.inputs
    k_left, k_right = float_constant(left), float_constant(right)
    x, k = (right, k_left) if k_left is not None else (left, k_right)
    if x is None or k is None or constant(x) is not None:
        return False
    if not forms.known(x) and (x.shape is None or len(x.shape) > 3):
        return False  # not a stream, but for example an attention mask
    form = forms.open(x)
    if form is None or not _per_channel(k, form):
        return False
    if node.op_type == "Div" and (k_left is not None or (k == 0).any()):
        return False
    if node.op_type == "Add":
        result = form.plus(k)
    elif node.op_type == "Mul":
        result = form.times(k)
    elif node.op_type == "Div":
        result = form.times(1.0 / k)
    else:
        result = form.plus(-k) if k_left is None else form.times(np.array(-1.0)).plus(k)
    forms.set(node.outputs[0], result)
    return True


def _follow_view(node: ir.Node, forms: Forms) -> bool:
    x = node.inputs[0] if node.inputs else None
    if x is None or not forms.known(x) or any(v is not None and forms.known(v) for v in node.inputs[1:]):
        return False
    form = forms.get(x)
    assert form is not None
    if moved(form.layout, node) is None:
        return False
    # Several outputs count as several readers.
    form = forms.open(x) if len(node.outputs) == 1 else forms.settle(x)
    assert form is not None
    vectors = [None if v is None else moved(v, node) for v in (form.layout, form.scale, form.shift)]
    for index, output in enumerate(node.outputs):
        layout, scale, shift = (None if v is None else v[index] for v in vectors)
        assert layout is not None
        views, outputs = (*form.views, node), (*form.view_outputs, index)
        forms.set(output, Form(form.root, layout, scale, shift, views, outputs))
    return True


def _follow_attention(node: ir.Node, forms: Forms, readers: Readers) -> bool:
    """Follows the two products of attention, whose right-hand sides are the keys and the values."""
    left, right = node.inputs
    if left is None or right is None or not forms.known(right):
        return False
    form = forms.get(right)
    assert form is not None
    shape = node.outputs[0].shape
    if shape is None or len(shape) != form.layout.ndim:
        return False
    if readers.rows_sum_to_one(left) and form.layout.ndim >= 2 and form.layout.shape[-2] == 1:
        settled = forms.settle(right)
        product = _product(node, forms, forms.explicit(left), settled.root.value)
        forms.set(node.outputs[0], Form(Root(product), settled.layout, settled.scale, settled.shift))
        return True
    if readers.softmax_cancels_row_constants(node.outputs[0]) and form.layout.shape[-1] == 1:
        settled = forms.settle(right, keep=True)
        if settled.scale is None and settled.shift is not None:
            product = _product(node, forms, forms.explicit(left), settled.root.value)
            forms.set(node.outputs[0], Form(Root(product), np.zeros((1,) * form.layout.ndim, dtype=int)))
            return True
    return False


def _follow_plain_sum(node: ir.Node, forms: Forms) -> bool:
    """Follows a sum of two values of the same scale: their bases add, and so do their shifts."""
    left, right = node.inputs
    assert left is not None
    assert right is not None
    if not (forms.known(left) or forms.known(right)) or not _aligned(left, right, forms):
        return False
    a, b = forms.settle(left), forms.settle(right)
    if a.scale is not None or b.scale is not None:
        return False
    total = _sum(node, forms, a.root.value, b.root.value, left)
    form = Form(Root(total), a.layout, shift=a.shift)
    forms.set(node.outputs[0], form if b.shift is None else form.plus(b.shift))
    return True


def _sum(node: ir.Node, forms: Forms, stream: ir.Value, written: ir.Value, stream_value: ir.Value) -> ir.Value:
    """Inserts stream + written, in the order of the node's inputs."""
    pair = [stream, written] if node.inputs[0] is stream_value else [written, stream]
    if pair == list(node.inputs):
        return node.outputs[0]
    return forms.node("Add", pair, like=node.outputs[0])


def _product(node: ir.Node, forms: Forms, left: ir.Value, right: ir.Value) -> ir.Value:
    if [left, right] == list(node.inputs):
        return node.outputs[0]
    return forms.node("MatMul", [left, right], like=node.outputs[0])


def _writes(form: Form | None) -> bool:
    return form is not None and form.root.linear is not None and not form.views


def _per_channel(k: np.ndarray, form: Form) -> bool:
    """Returns whether a constant has at most one number per channel."""
    if k.ndim > form.layout.ndim:
        return False
    try:
        return np.broadcast_shapes(k.shape, form.layout.shape) == form.layout.shape
    except ValueError:
        return False


def _aligned(a: ir.Value, b: ir.Value, forms: Forms) -> bool:
    """Returns whether the channels of two summands are in the same dimensions, and neither side is broadcast there."""
    left, right = forms.get(a), forms.get(b)
    return left is not None and right is not None and left.layout.shape == right.layout.shape


def _read_plain(node: ir.Node, forms: Forms) -> None:
    """Makes the node, and the nodes of its subgraphs, read plain values."""
    inner = [n for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH for n in a.as_graph().all_nodes()]
    for reader in (node, *inner):
        for index, value in enumerate(reader.inputs):
            if value is not None and forms.explicit(value) is not value:
                reader.replace_input_with(index, forms.explicit(value))


def _rename(output: ir.Value, plain: ir.Value) -> None:
    """Gives a graph output's name, type and shape to the value that replaces it."""
    plain.shape, plain.type = output.shape, output.type
    name = output.name
    output.name = f"{name}.folded_away"
    plain.name = name
