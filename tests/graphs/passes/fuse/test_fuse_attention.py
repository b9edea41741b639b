"""A block's bottlenecks and attention, as one operator."""

from __future__ import annotations

import re

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import becomes, constant, graph, leaves_alone, run, same_numbers, valid

from graphs.functions.bottleneck_attention import NAME
from graphs.ir.rewrite import Miss
from graphs.passes.fuse.fuse_attention import FuseAttention

# Two texts of five tokens, hidden size 8, inner stream 4, two heads of 2.
SIGNATURE = "(float[10, 8] x, float[2, 1, 1, 5] mask) => (float[10, 4] y)"
CONSTANTS = """<float[8, 12] Wb, float[12] bb, float[4, 8] Wqk, float[8] bqk, float[4, 4] Wo,
    int64[4] heads = {2, 5, 2, 2}, int64[2] rows = {-1, 4}>"""
BODY = """
    projected = Gemm(x, Wb, bb)
    inner, shared, value = Split <axis = -1, num_outputs = 3> (projected)
    both = Gemm(shared, Wqk, bqk)
    query, key = Split <axis = -1, num_outputs = 2> (both)
    query4 = Reshape(query, heads)
    queries = Transpose <perm = [0, 2, 1, 3]> (query4)
    key4 = Reshape(key, heads)
    keys = Transpose <perm = [0, 2, 3, 1]> (key4)
    scores = MatMul(queries, keys)
    masked = Add(scores, mask)
    weights = Softmax(masked)
    value4 = Reshape(value, heads)
    values = Transpose <perm = [0, 2, 1, 3]> (value4)
    context = MatMul(weights, values)
    context4 = Transpose <perm = [0, 2, 1, 3]> (context)
    joined = Reshape(context4, rows)
    y = Gemm(joined, Wo, inner)
"""
FUSED = "y = mbert.BottleneckAttention(x, mask, heads, Wb, bb, Wqk, bqk, Wo)"


def block(*changes: tuple[str, str], **values: np.ndarray) -> ir.Model:
    """The block, with pieces of its text replaced by others."""
    text = SIGNATURE + CONSTANTS + "{" + BODY + "}"
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    model = graph(text, **values)
    for node in model.graph:
        node.name = f"the {node.outputs[0].name}"
    return model


def misses(model: ir.Model) -> list[Miss]:
    """Returns the near misses of a model that the pass does not change."""
    step = FuseAttention()
    leaves_alone(step, model)
    assert step.matches == 0
    return step.misses


def test_a_block_becomes_one_operator() -> None:
    after = becomes(FuseAttention(), block(), FUSED)
    assert [identifier[:2] for identifier in after.functions] == [("mbert", NAME)]
    assert after.opset_imports["mbert"] == 1


def test_what_it_did_is_counted() -> None:
    step = FuseAttention()
    step(block())
    assert (step.matches, step.misses) == (1, [])


def test_a_mask_may_be_added_from_the_left() -> None:
    becomes(FuseAttention(), block(("Add(scores, mask)", "Add(mask, scores)")), FUSED)


@pytest.mark.parametrize("axis", ["", "<axis = -1>", "<axis = 3>"])
def test_a_softmax_over_the_last_axis_is_one(axis: str) -> None:
    becomes(FuseAttention(), block(("Softmax(masked)", f"Softmax {axis} (masked)")), FUSED)


def test_transposed_weights_come_out_as_they_act() -> None:
    before = block(
        ("Gemm(x, Wb, bb)", "Gemm <transB = 1> (x, Wb, bb)"),
        ("float[8, 12] Wb", "float[12, 8] Wb"),
        ("Gemm(shared, Wqk, bqk)", "Gemm <transB = 1> (shared, Wqk, bqk)"),
        ("float[4, 8] Wqk", "float[8, 4] Wqk"),
        ("Gemm(joined, Wo, inner)", "Gemm <transB = 1> (joined, Wo, inner)"),
    )
    fused = "y = mbert.BottleneckAttention(x, mask, heads, Wb_transposed, bb, Wqk_transposed, bqk, Wo_transposed)"
    after = becomes(FuseAttention(), before, fused)
    for name in ("Wb", "Wqk", "Wo"):
        np.testing.assert_array_equal(constant(after, f"{name}.transposed"), constant(before, name).T)


def test_layers_without_a_bias_get_one_of_zeros() -> None:
    before = block(("Gemm(x, Wb, bb)", "MatMul(x, Wb)"), ("Gemm(shared, Wqk, bqk)", "Gemm(shared, Wqk)"))
    after = becomes(FuseAttention(), before, FUSED.replace("bb", "Wb_bias").replace("bqk", "Wqk_bias"))
    np.testing.assert_array_equal(constant(after, "Wb.bias"), np.zeros(12))
    np.testing.assert_array_equal(constant(after, "Wqk.bias"), np.zeros(8))


def test_a_bias_of_one_number_is_written_out() -> None:
    before = block(("float[8] bqk", "float[1] bqk"))
    after = becomes(FuseAttention(), before, FUSED.replace("bqk", "Wqk_bias"))
    np.testing.assert_array_equal(constant(after, "Wqk.bias"), np.repeat(constant(before, "bqk"), 8))


def test_columns_are_put_into_the_order_of_the_function() -> None:
    before = block(
        ("inner, shared, value = Split", "shared, value, inner = Split"), ("query, key = Sp", "key, query = Sp")
    )
    fused = "y = mbert.BottleneckAttention(x, mask, heads, Wb_ordered, Wb_bias, Wqk_ordered, Wqk_bias, Wo)"
    after = becomes(FuseAttention(), before, fused)
    shared, value, inner = np.split(constant(before, "Wb"), 3, axis=1)
    np.testing.assert_array_equal(constant(after, "Wb.ordered"), np.hstack([inner, shared, value]))
    key, query = np.split(constant(before, "bqk"), 2)
    np.testing.assert_array_equal(constant(after, "Wqk.bias"), np.hstack([query, key]))


def test_columns_of_transposed_weights_are_put_into_order_too() -> None:
    before = block(
        ("Gemm(x, Wb, bb)", "Gemm <transB = 1> (x, Wb)"),
        ("float[8, 12] Wb", "float[12, 8] Wb"),
        ("inner, shared, value = Split", "value, inner, shared = Split"),
    )
    after = becomes(FuseAttention(), before, FUSED.replace("Wb, bb", "Wb_ordered, Wb_bias"))
    value, inner, shared = np.split(constant(before, "Wb"), 3)
    np.testing.assert_array_equal(constant(after, "Wb.ordered"), np.vstack([inner, shared, value]).T)


def test_padding_gets_no_attention() -> None:
    before = block()
    feed = {"x": np.random.default_rng(0).normal(size=(10, 8)).astype(np.float32)}
    feed["mask"] = np.zeros((2, 1, 1, 5), np.float32)
    feed["mask"][1, 0, 0, 3:] = np.finfo(np.float32).min / 2
    after = becomes(FuseAttention(), before, FUSED, feed)
    other = {**feed, "x": np.concatenate([feed["x"][:8], 100 * feed["x"][8:]])}
    np.testing.assert_array_equal(run(after, feed)["y"][:8], run(after, other)["y"][:8])


# What is changed in the text, the node that is named, and part of the reason.
REFUSED = {
    "no mask": (
        [("masked = Add(scores, mask)\n", ""), ("Softmax(masked)", "Softmax(scores)")],
        "the weights (Softmax)",
        "no mask is added to its scores",
    ),
    "a softmax over queries": (
        [("Softmax(masked)", "Softmax <axis = 2> (masked)")],
        "the weights (Softmax)",
        "no mask is added to its scores",
    ),
    "a mask of one row per query": (
        [("float[2, 1, 1, 5] mask", "float[2, 1, 5, 5] mask")],
        "the masked (Add)",
        "does not have the shape [batch, 1, 1, seq]",
    ),
    "a mask of one row per text": (
        [("float[2, 1, 1, 5] mask", "float[5] mask")],
        "the masked (Add)",
        "does not have the shape [batch, 1, 1, seq]",
    ),
    "a mask per head": (
        [("float[2, 1, 1, 5] mask", "float[2, 2, 1, 5] mask")],
        "the masked (Add)",
        "does not have the shape [batch, 1, 1, seq]",
    ),
    "a mask of another batch": (
        [("float[2, 1, 1, 5] mask", "float[1, 1, 1, 5] mask")],
        "the masked (Add)",
        "the mask and the scores differ in their batch",
    ),
    "probabilities that are an output": (
        [("(float[10, 4] y)", "(float[10, 4] y, float[2, 2, 5, 5] weights)")],
        "the weights (Softmax)",
        "attention probabilities are an output of the graph",
    ),
    "probabilities that are read twice": (
        [("(float[10, 4] y)", "(float[10, 4] y, float[2, 2, 5, 5] z)"), ("y = Gemm", "z = Relu(weights) y = Gemm")],
        "the weights (Softmax)",
        "attention probabilities have 2 readers; expected one",
    ),
    "an inner stream that is an output": (
        [("(float[10, 4] y)", "(float[10, 4] y, float[10, 4] inner)")],
        "the inner (Split)",
        "parts of the bottleneck are an output of the graph",
    ),
    "queries that are an output": (
        [("(float[10, 4] y)", "(float[10, 4] y, float[10, 4] query)")],
        "the query (Split)",
        "parts of the bottleneck are an output of the graph",
    ),
    "a value that is read twice": (
        [("(float[10, 4] y)", "(float[10, 4] y, float[10, 4] z)"), ("y = Gemm", "z = Relu(value) y = Gemm")],
        "the inner (Split)",
        "parts of the bottleneck have 2 readers; expected one",
    ),
    "a projection that is an output": (
        [("(float[10, 4] y)", "(float[10, 4] y, float[10, 12] projected)")],
        "the projected (Gemm)",
        "sums of the linear layer are an output of the graph",
    ),
    "a context that is an output": (
        [("(float[10, 4] y)", "(float[10, 4] y, float[2, 2, 5, 2] context)")],
        "the context (MatMul)",
        "the heads are an output of the graph",
    ),
    "a residual on the other side": (
        [("y = Gemm(joined, Wo, inner)", "o = MatMul(joined, Wo) y = Add(inner, o)")],
        "the o (MatMul)",
        "expected a Gemm with the residual as its third input",
    ),
    "a bias where the residual would be": (
        [("Gemm(joined, Wo, inner)", "Gemm(joined, Wo, bo)"), ("float[4, 4] Wo", "float[4, 4] Wo, float[4] bo")],
        "the y (Gemm)",
        "its third input is not a residual",
    ),
    "a scaled output": (
        [("Gemm(joined, Wo, inner)", "Gemm <alpha = 0.5> (joined, Wo, inner)")],
        "the y (Gemm)",
        "expected a Gemm with the residual as its third input",
    ),
    "a residual that is not the inner stream": (
        [("(float[10, 8] x,", "(float[10, 8] x, float[10, 4] u,"), ("Gemm(joined, Wo, inner)", "Gemm(joined, Wo, u)")],
        "the y (Gemm)",
        "it reads an input or constant; expected Split",
    ),
    "queries and keys that are not of the inner stream's width": (
        [
            ("Split <axis = -1, num_outputs = 3> (projected)", "Split <axis = -1> (projected, parts)"),
            ("int64[2] rows", "int64[3] parts = {4, 6, 2}, int64[4] flat = {2, 5, 2, 1}, int64[2] rows"),
            ("Reshape(value, heads)", "Reshape(value, flat)"),
            ("float[4, 8] Wqk", "float[6, 8] Wqk"),
            ("int64[2] rows = {-1, 4}", "int64[2] rows = {-1, 2}"),
            ("float[4, 4] Wo", "float[2, 4] Wo"),
        ],
        "the scores (MatMul)",
        "queries, keys and values have unequal heads",
    ),
    "queries that are split otherwise": (
        [("perm = [0, 2, 1, 3]> (query4)", "perm = [0, 1, 2, 3]> (query4)"),
         ("perm = [0, 2, 3, 1]> (key4)", "perm = [0, 1, 3, 2]> (key4)"),
         ("perm = [0, 2, 1, 3]> (value4)", "perm = [0, 1, 2, 3]> (value4)"),
         ("perm = [0, 2, 1, 3]> (context)", "perm = [0, 1, 2, 3]> (context)"),
         ("float[2, 1, 1, 5] mask", "float[2, 1, 1, 2] mask")],
        "the queries (Transpose)",
        "perm is [0, 1, 2, 3]; expected [0, 2, 1, 3]",
    ),
    "parts of unequal width": (
        [("Split <axis = -1, num_outputs = 3> (projected)", "Split <axis = -1> (projected, parts)"),
         ("float[8, 12] Wb, float[12] bb", "float[8, 14] Wb, float[14] bb, int64[3] parts = {4, 6, 4}"),
         ("float[4, 8] Wqk", "float[6, 8] Wqk")],
        "the inner (Split)",
        "its parts are not of one width",
    ),
    "queries and keys wider than the inner stream": (
        [("float[4, 8] Wqk, float[8] bqk", "float[4, 12] Wqk, float[12] bqk"),
         ("heads = {2, 5, 2, 2}", "heads = {2, 5, 2, -1}")],
        "the both (Gemm)",
        "queries and keys are not as wide as the inner stream",
    ),
    "heads that are not put back": (
        [("perm = [0, 2, 1, 3]> (context)", "perm = [0, 1, 2, 3]> (context)")],
        "the context4 (Transpose)",
        "perm is not [0, 2, 1, 3]",
    ),
    "heads that are joined as they are": (
        [("Transpose <perm = [0, 2, 1, 3]> (context)", "Neg(context)")],
        "the context4 (Neg)",
        "expected a Transpose of the heads",
    ),
    "a single token whose heads are projected each": (
        [("float[10, 8] x, float[2, 1, 1, 5] mask", "float[1, 8] x, float[1, 1, 1, 1] mask"),
         ("float[10, 4] y", "float[2, 4] y"), ("heads = {2, 5, 2, 2}", "heads = {1, 1, 2, 2}"),
         ("rows = {-1, 4}", "rows = {-1, 2}"), ("float[4, 4] Wo", "float[2, 4] Wo")],
        "the y (Gemm)",
        "it does not read as many channels as it writes",
    ),
    "queries of another tensor": (
        [("(float[10, 8] x,", "(float[10, 8] x, float[10, 4] u,"), ("Reshape(query,", "Reshape(u,")],
        "the scores (MatMul)",
        "it reads an input or constant; expected Split",
    ),
    "a stream that is no matrix": (
        [("float[10, 8] x", "float[2, 5, 8] x3"), ("projected = Gemm(x, Wb, bb)", "projected = MatMul(x3, Wb)"),
         ("both = Gemm(shared, Wqk, bqk)", "both = MatMul(shared, Wqk)"),
         ("int64[2] rows = {-1, 4}", "int64[2] rows = {-1, 4}, int64[2] flat = {-1, 4}"),
         ("y = Gemm(joined, Wo, inner)", "inner2 = Reshape(inner, flat) y = Gemm(joined, Wo, inner2)")],
        "the query4 (Reshape)",
        "the value split into heads is not a matrix",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_an_almost_block_is_not_modified_and_is_reported(case: str) -> None:
    changes, node, reason = REFUSED[case]
    found = misses(block(*changes))
    assert [miss.node for miss in found] == [node]
    assert reason in found[0].reason


def two_blocks(*changes: tuple[str, str]) -> ir.Model:
    """The block, and behind a layer back to the outer stream another one, of which pieces are replaced."""
    names = "projected inner shared value both query key queries keys values scores masked weights context joined"
    first, second = BODY, BODY
    for name in [*names.split(), "query4", "key4", "value4", "context4"]:
        first = re.sub(rf"\b{name}\b", f"{name}_1", first)
    first = re.sub(r"\by =", "u =", first)
    second = second.replace("Gemm(x,", "Gemm(z,")
    for name in ("Wb", "bb", "Wqk", "bqk", "Wo"):
        second = re.sub(rf"\b{name}\b", f"{name}2", second)
    text = CONSTANTS.replace("float[8, 12] Wb", "float[8, 12] Wb, float[4, 8] Wz, float[8, 12] Wb2, float[12] bb2")
    text = text.replace("int64[4] heads", "float[4, 8] Wqk2, float[8] bqk2, float[4, 4] Wo2, int64[4] heads")
    text = f"{SIGNATURE} {text} {{ {first} z = MatMul(u, Wz) {second} }}"
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return graph(text)


BOTH = """u = mbert.BottleneckAttention(x, mask, heads, Wb, bb, Wqk, bqk, Wo) z = MatMul(u, Wz)
    y = mbert.BottleneckAttention(z, mask, heads, Wb2, bb2, Wqk2, bqk2, Wo2)"""


def test_blocks_of_one_width_share_a_function() -> None:
    step = FuseAttention()
    assert len(becomes(step, two_blocks(), BOTH).functions) == 1
    assert (step.matches, step.misses) == (2, [])


def test_one_of_two_blocks_is_fused_and_the_other_reported() -> None:
    step = FuseAttention()
    after = two_blocks(("(float[10, 4] y)", "(float[10, 4] y, float[2, 2, 5, 5] weights)"))
    before = after.clone()
    step(after)
    assert step.matches == 1
    assert [miss.reason for miss in step.misses] == ["attention probabilities are an output of the graph"]
    valid(before, after)
    same_numbers(before, after)
    leaves_alone(FuseAttention(), after)


def test_a_block_of_another_width_stays_and_leaves_nothing_behind() -> None:
    step = FuseAttention()
    after = two_blocks(
        ("(float[10, 4] y)", "(float[10, 6] y)"),
        ("float[8, 12] Wb2, float[12] bb2", "float[8, 18] Wb2, float[18] bb2"),
        ("float[4, 8] Wqk2, float[8] bqk2, float[4, 4] Wo2", "float[6, 12] Wqk2, float[12] bqk2, float[6, 6] Wo2"),
        (
            "int64[2] rows = {-1, 4}",
            "int64[2] rows = {-1, 4}, int64[2] rows6 = {-1, 6}, int64[4] heads6 = {2, 5, 2, 3}",
        ),
        *((f"Reshape({name}, heads)", f"Reshape({name}, heads6)") for name in ("query", "key", "value")),
        ("Reshape(context4, rows)", "Reshape(context4, rows6)"),
        ("query, key = Split", "key, query = Split"),
    )
    before = after.clone()
    step(after)
    assert step.matches == 1
    assert [miss.reason for miss in step.misses] == ["it is 6 wide, unlike other blocks of this model"]
    valid(before, after)
    same_numbers(before, after)
    leaves_alone(FuseAttention(), after)


def test_a_softmax_that_is_no_attention_is_not_even_missed() -> None:
    assert misses(graph("(float[b, s] x) => (float[b, s] y) { y = Softmax(x) }")) == []
