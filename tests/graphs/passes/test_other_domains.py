"""Operators of other domains, whatever they are called, and models with functions: no pass takes them for ONNX's."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, graph, run, structure

from graphs.ir.rewrite import Rewrite
from graphs.passes.canonicalize.clean_up import CleanUp
from graphs.passes.canonicalize.embed_tokens import EmbedTokens
from graphs.passes.canonicalize.flatten_tokens import FlattenTokens
from graphs.passes.canonicalize.merge_views import MergeViews
from graphs.passes.canonicalize.remove_nan_guard import RemoveNanGuard
from graphs.passes.canonicalize.select_index import SelectIndex
from graphs.passes.canonicalize.simplify_mask import SimplifyMask
from graphs.passes.canonicalize.simplify_shapes import SimplifyShapes
from graphs.passes.canonicalize.split_tied_head import SplitTiedHead
from graphs.passes.fold.scale_query import ScaleQuery

FOREIGN = "com.example"

# For each pass, a graph in which it fires.
FIRES: list[tuple[type[Rewrite], str]] = [
    (CleanUp, "(float[b, 2] x) => (float[b, 2] y) { a = Relu(x) c = Relu(x) d = Neg(c) y = Add(a, d) }"),
    (
        SimplifyShapes,
        """(float[b, s, 8] x) => (float[b, s, 2, 4] y)
        <int64[1] zero = {0}, int64[1] one = {1}, int64[2] heads = {2, 4}>
        { r = Relu(x) t = Shape(r) rows = Gather(t, zero) length = Gather(t, one)
          target = Concat <axis = 0> (rows, length, heads) e = Expand(r, t) a = Reshape(e, t)
          y = Reshape(a, target) }""",
    ),
    (
        MergeViews,
        """(float[2, 4, 5, 8] key) => (float[2, 4, 8, 5] y)
        <int64[3] merged = {-1, 5, 8}, int64[4] split = {-1, 4, 8, 5}>
        { a = Reshape(key, merged) t = Transpose <perm = [0, 2, 1]> (a) y = Reshape(t, split) }""",
    ),
    (
        MergeViews,
        """(float[2, 3, 4] x) => (float[1, 4, 3, 1, 2] y) <int64[1] zero = {0}, int64[1] three = {3}>
        { a = Transpose <perm = [1, 0, 2]> (x) c = Transpose <perm = [2, 0, 1]> (a) d = Unsqueeze(c, zero)
          y = Unsqueeze(d, three) }""",
    ),
    (
        SimplifyMask,
        """(float[b, 2, s, s] scores, int64[b, s] mask) => (float[b, 2, s, s] y)
        <float one = {1.0}, float lowest = {-10000.0}, int64[2] axes = {1, 2}>
        { real = Cast <to = 1> (mask) wide = Unsqueeze(real, axes) padded = Sub(one, wide) bias = Mul(padded, lowest)
          masked = Add(scores, bias) y = Softmax(masked) }""",
    ),
    (
        RemoveNanGuard,
        f"""(float[b, 2, s, 4] q, float[b, 2, 4, s] k, int64[b, s] mask) => (float[b, 2, s, s] y)
        <float one = {{1.0}}, float half = {{{float(np.finfo(np.float32).min) / 2!r}}}, int64[2] axes = {{1, 2}},
         float zero = {{0.0}}>
        {{ real = Cast <to = 1> (mask) wide = Unsqueeze(real, axes) padded = Sub(one, wide) bias = Mul(padded, half)
           product = MatMul(q, k) scores = Mul(product, one) masked = Add(scores, bias) p = Softmax(masked)
           bad = IsNaN(p) y = Where(bad, zero, p) }}""",
    ),
    (
        ScaleQuery,
        """(float[s, 6] x) => (float[s, s] y) <float[6, 4] Q, float[6, 4] K, float root = {4.0}, float[4] bias>
        { q0 = MatMul(x, Q) q = Add(q0, bias) k = MatMul(x, K) keys = Transpose(k) p = MatMul(q, keys)
          y = Div(p, root) }""",
    ),
    (
        SelectIndex,
        """(float[b, s, 2] x) => (float[b, s] y, float[b, 2] z)
        <int64[1] axis = {2}, int64[2] sizes = {1, 1}, int64[1] zero = {0}, int64[1] one = {1}>
        { a, c = Split <axis = 2> (x, sizes) y = Squeeze(a, axis) f = Slice(x, zero, one, one) z = Squeeze(f, one) }""",
    ),
    (
        EmbedTokens,
        """(float[b, s, 4] words) => (float[b, s, 12] y)
        <int64[1] first = {1}, int64[1] far = {9223372036854775807}, int64[1] start = {0}, int64[1] last = {-1},
         int64[1] axis = {1}, int64[6] after = {0, 0, 0, 0, 1, 0}, int64[6] before = {0, 1, 0, 0, 0, 0}>
        { cut = Slice(words, first, far, axis) following = Pad(cut, after) cut2 = Slice(words, start, last, axis)
          previous = Pad(cut2, before) y = Concat <axis = 2> (following, words, previous) }""",
    ),
    (
        EmbedTokens,
        """(float[b, s, 3] words, int64[b, s] ids) => (float[b, s, 3] y)
        <float[9, 3] positions, float[2, 3] types, int64[1, 9] every = {0, 1, 2, 3, 4, 5, 6, 7, 8},
         int64[1] start = {0}, int64[1] axis = {1}>
        { end = Shape <start = 1, end = 2> (words) chosen = Slice(every, start, end, axis)
          place = Gather(positions, chosen) type = Gather(types, ids) a = Add(words, place) y = Add(a, type) }""",
    ),
    (
        FlattenTokens,
        """(float[b, s, 8] x) => (float[b, s, 8] y) <float[8, 8] W, float[8] bias, int64[2] halves = {4, 4}>
        { p0 = MatMul(x, W) p = Add(p0, bias) sum = Add(p, x) r = Relu(sum) n = LayerNormalization(r, bias)
          c, d = Split <axis = 2> (n, halves) y = Concat <axis = 2> (d, c) }""",
    ),
    (
        SplitTiedHead,
        """(int64[n] ids, float[n, 5] x) => (float[n, 3] words, float[n, 7] y)
        <float[7, 3] table, float[2, 7] dense, float[7] bias>
        { words = Gather(table, ids) upper = Transpose(table) W = Concat <axis = 0> (upper, dense) p = MatMul(x, W)
          y = Add(p, bias) }""",
    ),
]
CASES = [
    pytest.param(step, text, index, id=f"{step.__name__}-{node.op_type}-{index}")
    for step, text in FIRES
    for index, node in enumerate(graph(text).graph)
]


@pytest.mark.parametrize(("step", "text"), FIRES)
def test_the_examples_are_some(step: type[Rewrite], text: str) -> None:
    assert step()(graph(text)).modified


@pytest.mark.parametrize(("step", "text", "index"), CASES)
def test_an_operator_of_others_stays_and_reads_the_same(step: type[Rewrite], text: str, index: int) -> None:
    """An operator of an unknown domain must keep its inputs, and be removed only if nothing reads it."""
    model = graph(text)
    foreign = model.graph.node(index)
    op_type, names = foreign.op_type, [output.name for output in foreign.outputs]
    foreign.domain = FOREIGN
    model.opset_imports[FOREIGN] = 1
    before = model.clone()
    step()(model)
    feed, given = feed_of(before), numbers_for(before, names)
    expected = run(standing_in(before, given), feed)
    found = run(standing_in(model, given), feed)
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)
    nodes = [node for node in model.graph if node.domain == FOREIGN]
    assert [(node.op_type, [output.name for output in node.outputs]) for node in nodes] in ([], [(op_type, names)])


def feed_of(model: ir.Model) -> Arrays:
    rng, sizes, feed = np.random.default_rng(0), {"b": 2, "s": 5, "n": 7}, {}
    for value in model.graph.inputs:
        shape = [dim if isinstance(dim, int) else sizes[str(dim.value)] for dim in value.shape or ()]
        whole = value.dtype == ir.DataType.INT64
        feed[str(value.name)] = rng.integers(0, 2, shape) if whole else rng.normal(size=shape).astype(np.float32)
        if whole:
            feed[str(value.name)][..., 0] = 1
    return feed


def numbers_for(model: ir.Model, names: list[str | None]) -> dict[str | None, np.ndarray]:
    """Returns the results of ONNX's operator of that name, reversed: other numbers of the right shape and type."""
    native = model.clone()
    for node in native.graph:
        node.domain = ""
    values = [o for node in native.graph for o in node.outputs if o.name in names]
    native.graph.outputs[:] = values
    found = run(native, feed_of(model))
    return {
        name: ~array if array.dtype == bool else array if array.dtype == np.int64 else array[..., ::-1].copy()
        for name, array in found.items()
    }


def standing_in(model: ir.Model, given: dict[str | None, np.ndarray]) -> ir.Model:
    """The model with constants in the place of the foreign operator's outputs, and what it reads as an output, too."""
    copy = model.clone()
    node = next((node for node in copy.graph if node.domain == FOREIGN), None)
    if node is None:
        return copy
    for index, x in enumerate(node.inputs):
        if x is None:
            continue
        seen = ir.Value(name=f"read.{index}", type=x.type)
        copy.graph.append(ir.node("Identity", [x], outputs=[seen]))
        copy.graph.outputs.append(seen)
    for output in list(node.outputs):
        stand_in = ir.Value(name=f"{output.name}.given", type=output.type)
        tensor = ir.tensor(given[output.name])
        copy.graph.insert_before(node, ir.node("Constant", [], attributes={"value": tensor}, outputs=[stand_in]))
        name = output.name
        output.name = None
        ir.convenience.replace_all_uses_with(output, stand_in, replace_graph_outputs=True)
        stand_in.name = name
    copy.graph.remove(node, safe=True)
    copy.graph.sort()
    return copy


# A Relu of another domain, between the nodes of two residual blocks.
FUNCTION = """<ir_version: 10, opset_import: ["" : 18, "com.example" : 1]>
    g (float[b, s, 8] x, float[8, 8] W) => (float[b, s, 8] y)
    { p = MatMul(x, W) sum = Add(p, x) r = com.example.Relu(sum) q = MatMul(r, W) y = Add(q, r) }
    <domain: "com.example", opset_import: ["" : 18]>
    Relu (a) => (c) { axis = Constant <value_int = 1> () c = CumSum(a, axis) }"""


@pytest.mark.parametrize("step", [CleanUp, SimplifyShapes, MergeViews, EmbedTokens, FlattenTokens])
def test_a_function_that_is_called_like_an_operator_is_not_taken_for_it(step: type[Rewrite]) -> None:
    proto = onnx.parser.parse_model(FUNCTION)
    del proto.graph.input[1]
    rng = np.random.default_rng(0)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(rng.normal(size=(8, 8)).astype(np.float32), "W"))
    before = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    x = rng.normal(size=(2, 5, 8)).astype(np.float32)
    after = before.clone()
    step()(after)
    assert (structure(after) != structure(before)) == (step is FlattenTokens)
    np.testing.assert_allclose(run(after, {"x": x})["y"], run(before, {"x": x})["y"], rtol=1e-5)
