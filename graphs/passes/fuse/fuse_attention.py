"""Fusion of a block's bottlenecks and attention."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.functions import DOMAIN, VERSION
from graphs.functions.bottleneck_attention import NAME, bottleneck_attention
from graphs.ir.constants import add_initializer, integers
from graphs.ir.linear import Linear, as_linear
from graphs.ir.masks import masked_scores
from graphs.ir.matching import MismatchError, check, only_reader, plain_bias, plain_weight, producer_of, residual_gemm
from graphs.ir.rewrite import Rewrite, replace_node
from graphs.model.sizes import shape_of

TO_HEADS = (0, 2, 1, 3)
TO_KEYS = (0, 2, 3, 1)


class FuseAttention(Rewrite):
    """Fuses a block's bottlenecks and attention into one node `mbert.BottleneckAttention`.

    Before::

        x ── Gemm ── Split ─┬─ Gemm ── Split ─┬─ heads ─┐
                            │                 └─ heads ─┴─ MatMul ── Add(mask) ── Softmax ─┐
                            ├─ heads ──────────────────────────────────────────────────────┴─ MatMul ── Gemm ── y
                            └─────────────────────────────────────────────────────────────────────────── (inner)

    After::

        x ── mbert.BottleneckAttention(mask, heads, weights) ── y

    The function reads the outer stream x and returns the inner stream y. The columns of the weights are put into its
    order: inner, shared and value; query and key.
    """

    def rewrite(self, model: ir.Model) -> None:
        graph = model.graph
        for node in list(graph):
            if node.op_type != "Softmax" or node.domain != "" or node.outputs[0].shape is None:
                continue
            if len(node.outputs[0].shape) != 4:
                continue
            try:
                self._fuse(model, node)
            except MismatchError as mismatch:
                self.miss(mismatch.node, mismatch.reason)
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)
            model.opset_imports[DOMAIN] = VERSION

    def _fuse(self, model: ir.Model, softmax: ir.Node) -> None:
        graph = model.graph
        add = masked_scores(softmax)
        check(add is not None, softmax, "no mask is added to its scores; expected an Add before it")
        assert add is not None
        scores, mask = _scores_and_mask(add)
        product = producer_of(scores, "MatMul", add)
        query, heads = _split_into_heads(product.inputs[0], TO_HEADS, product)
        key, key_heads = _split_into_heads(product.inputs[1], TO_KEYS, product)
        mixed = only_reader(softmax.outputs[0], softmax, "attention probabilities")
        check(mixed.op_type == "MatMul" and mixed.inputs[0] is softmax.outputs[0], mixed, "expected MatMul with values")
        value, value_heads = _split_into_heads(mixed.inputs[1], TO_HEADS, mixed)
        check(heads is key_heads and heads is value_heads, product, "queries, keys and values have unequal heads")

        query_key, order = _parts(query, [query, key], product)
        shared = query_key.x
        out = _back_from_heads(mixed)
        inner = out.node.inputs[2]
        bottleneck, places = _parts(inner, [inner, shared, value], out.node)
        x = bottleneck.x
        check(_is_matrix(x), bottleneck.node, "its input is not a matrix")
        width = out.width
        check(query_key.width == 2 * width, query_key.node, "queries and keys are not as wide as the inner stream")
        check(out.weight.shape == ir.Shape([width, width]), out.node, "it does not read as many channels as it writes")
        function = bottleneck_attention(model.opset_imports[""], width)
        known = model.functions.get(function.identifier())
        check(
            known is None or _width(known) == width, out.node, f"it is {width} wide, unlike other blocks of this model"
        )
        weights = [
            *_columns(graph, bottleneck, places, 3),
            *_columns(graph, query_key, order, 2),
            plain_weight(graph, out),
        ]
        model.functions[function.identifier()] = known or function
        replace_node(out.node, ir.node(NAME, [x, mask, heads, *weights], domain=DOMAIN, version=VERSION))
        self.matches += 1


def _scores_and_mask(add: ir.Node) -> tuple[ir.Value, ir.Value]:
    for scores, mask in (add.inputs, reversed(add.inputs)):
        shape = None if mask is None else shape_of(mask)
        if scores is not None and mask is not None and shape is not None and shape[1:3] == [1, 1] and len(shape) == 4:
            rows = shape_of(scores)
            check(rows is not None and rows[0] == shape[0], add, "the mask and the scores differ in their batch")
            return scores, mask
    raise MismatchError(add, "the tensor added to the scores does not have the shape [batch, 1, 1, seq]")


def _split_into_heads(value: ir.Value | None, perm: tuple[int, ...], reader: ir.Node) -> tuple[ir.Value, ir.Value]:
    """Returns the value that a Reshape and a Transpose split into heads, and the Reshape's target shape."""
    transpose = producer_of(value, "Transpose", reader)
    found = tuple(transpose.attributes.get_ints("perm", []))
    check(found == perm, transpose, f"perm is {list(found)}; expected {list(perm)}")
    reshape = producer_of(transpose.inputs[0], "Reshape", transpose)
    x, heads = reshape.inputs
    assert x is not None
    assert heads is not None
    check(_is_matrix(x), reshape, "the value split into heads is not a matrix")
    return x, heads


def _parts(value: ir.Value | None, expected: list[ir.Value | None], reader: ir.Node) -> tuple[Linear, list[int]]:
    """Returns the linear layer whose Split has exactly the expected outputs, and their positions among its outputs."""
    split = producer_of(value, "Split", reader)
    axis = split.attributes.get_int("axis", 0)
    check(axis in (-1, 1), split, f"it splits axis {axis}; expected the channels")
    outputs = list(split.outputs)
    same = len(outputs) == len(expected) and all(any(o is e for e in expected) for o in outputs)
    check(same, split, f"its {len(outputs)} parts are not those of a bottleneck; expected {len(expected)}")
    for output in outputs:
        only_reader(output, split, "parts of the bottleneck")
    widths = {None if output.shape is None else output.shape[-1] for output in outputs}
    check(len(widths) == 1, split, "its parts are not of one width")
    linear = as_linear(producer_of(split.inputs[0], ("Gemm", "MatMul"), split))
    check(linear is not None, split, "it does not split a linear layer with constant weights")
    assert linear is not None
    only_reader(linear.node.outputs[0], linear.node, "sums of the linear layer")
    return linear, [next(i for i, o in enumerate(outputs) if o is e) for e in expected]


def _is_matrix(value: ir.Value) -> bool:
    return value.shape is not None and len(value.shape) == 2


def _back_from_heads(mixed: ir.Node) -> Linear:
    """Returns the Gemm that reads all heads and has the inner stream as its third input."""
    transpose = only_reader(mixed.outputs[0], mixed, "the heads")
    check(transpose.op_type == "Transpose", transpose, "expected a Transpose of the heads")
    check(tuple(transpose.attributes.get_ints("perm", [])) == TO_HEADS, transpose, "perm is not [0, 2, 1, 3]")
    reshape = only_reader(transpose.outputs[0], transpose, "the heads")
    check(reshape.op_type == "Reshape", reshape, "expected a Reshape of the heads to a matrix")
    gemm = only_reader(reshape.outputs[0], reshape, "the concatenated heads")
    linear = residual_gemm(gemm)
    check(integers(reshape.inputs[1]) is not None, reshape, "its shape is not constant")
    return linear


def _columns(graph: ir.Graph, linear: Linear, places: list[int], parts: int) -> tuple[ir.Value, ir.Value]:
    """Returns the weight ``[in, out]`` and bias ``[out]`` with their columns in the order of the function."""
    if places == list(range(parts)):
        return plain_weight(graph, linear), plain_bias(graph, linear)
    assert linear.weight.const_value is not None
    array = linear.weight.const_value.numpy()
    array = array.T if linear.transposed else array
    own = linear.bias64()
    bias = np.zeros(linear.width, dtype=array.dtype) if own is None else own.astype(array.dtype)
    weight, vector = (
        np.concatenate([np.split(values, parts, axis=-1)[place] for place in places], axis=-1)
        for values in (array, bias)
    )
    return (
        add_initializer(graph, f"{linear.weight.name}.ordered", weight),
        add_initializer(graph, f"{linear.weight.name}.bias", vector),
    )


def _width(function: ir.Function) -> int:
    """Returns the width of the inner stream of an existing function."""
    constants = [node for node in function if node.op_type == "Constant"]
    return int(constants[0].attributes["value_ints"].as_ints()[-1])
