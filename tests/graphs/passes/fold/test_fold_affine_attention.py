"""Folding through softmax: biases that pass it, and biases that it cancels."""

from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import becomes, constant, graph, leaves_alone, same_numbers

from graphs.passes.fold.fold_affine import FoldAffine

SIGNATURE = "(float[b, s, 4] query, float[b, s, 4] x) => (float[b, s, 3] y{outputs})"
WEIGHTS = "<float[4, 4] Wk, float[4] bk, float[4, 4] Wv, float[4] bv, float[4, 3] Wo, float[3] bo>"
KEYS = "k0 = MatMul(x, Wk) k = Add(k0, bk) keys = Transpose <perm = [0, 2, 1]> (k)"
SCORES = "scores = MatMul(query, keys)"
VALUES = "v0 = MatMul(x, Wv) values = Add(v0, bv)"
CONTEXT = "context = MatMul(probabilities, values) o0 = MatMul(context, Wo) y = Add(o0, bo)"


def attention(softmax: str, outputs: str = "") -> str:
    signature = SIGNATURE.format(outputs=outputs)
    return f"{signature} {WEIGHTS} {{ {KEYS} {SCORES} {softmax} {VALUES} {CONTEXT} }}"


@pytest.mark.parametrize("axis", [-1, 2])
def test_the_keys_bias_is_dropped_and_the_values_bias_passes_through(axis: int) -> None:
    before = graph(attention(f"probabilities = Softmax <axis = {axis}> (scores)"))
    after = becomes(
        FoldAffine(),
        before,
        f"""k = MatMul(x, Wk)
        keys = Transpose <perm = [0, 2, 1]> (k)
        scores = MatMul(query, keys)
        probabilities = Softmax <axis = {axis}> (scores)
        values = MatMul(x, Wv)
        context = MatMul(probabilities, values)
        o = MatMul(context, Wo)
        y = Add(o, Wo_folded_bias)""",
    )
    bias = constant(before, "bv") @ constant(before, "Wo") + constant(before, "bo")
    np.testing.assert_allclose(constant(after, "Wo.folded_bias"), bias, rtol=1e-5)


def test_the_default_axis_of_softmax_is_the_last() -> None:
    before = graph(attention("probabilities = Softmax(scores)"))
    after = before.clone()
    FoldAffine()(after)
    assert not {"bk", "bv"} & after.graph.initializers.keys()


def test_softmax_over_another_axis_neither_cancels_nor_passes_a_bias() -> None:
    leaves_alone(FoldAffine(), graph(attention("probabilities = Softmax <axis = 1> (scores)")))


def test_a_mask_may_be_added_before_softmax() -> None:
    text = attention("masked = Add(scores, mask) probabilities = Softmax(masked)")
    before = graph(text.replace("float[b, s, 4] x)", "float[b, s, 4] x, float[b, 1, s] mask)"))
    becomes(
        FoldAffine(),
        before,
        """k = MatMul(x, Wk)
        keys = Transpose <perm = [0, 2, 1]> (k)
        scores = MatMul(query, keys)
        masked = Add(scores, mask)
        probabilities = Softmax(masked)
        values = MatMul(x, Wv)
        context = MatMul(probabilities, values)
        o = MatMul(context, Wo)
        y = Add(o, Wo_folded_bias)""",
    )


@pytest.mark.parametrize("also", ["z = Relu(scores)", "masked = Add(scores, scores) z = Relu(masked)"])
def test_the_keys_bias_stays_where_the_scores_have_another_reader(also: str) -> None:
    before = graph(attention(f"probabilities = Softmax(scores) {also}", ", float[b, s, s] z"))
    after = before.clone()
    FoldAffine()(after)
    assert "bk" in after.graph.initializers
    assert "bv" not in after.graph.initializers


def test_the_keys_bias_stays_where_the_scores_are_an_output() -> None:
    before = graph(attention("probabilities = Softmax(scores)", ", float[b, s, s] scores"))
    becomes(
        FoldAffine(),
        before,
        """k0 = MatMul(x, Wk)
        k = Add(k0, bk)
        keys = Transpose <perm = [0, 2, 1]> (k)
        scores = MatMul(query, keys)
        probabilities = Softmax(scores)
        values = MatMul(x, Wv)
        context = MatMul(probabilities, values)
        o = MatMul(context, Wo)
        y = Add(o, Wo_folded_bias)""",
    )


def test_the_keys_bias_stays_where_the_masked_scores_are_an_output() -> None:
    text = attention("masked = Add(scores, mask) probabilities = Softmax(masked)", ", float[b, s, s] masked")
    before = graph(text.replace("float[b, s, 4] x)", "float[b, s, 4] x, float[b, s, s] mask)"))
    after = before.clone()
    FoldAffine()(after)
    assert "bk" in after.graph.initializers


def test_the_keys_bias_is_dropped_for_the_scores_and_kept_for_another_reader_of_the_keys() -> None:
    before = graph(f"""{SIGNATURE.format(outputs=", float[b, 4, s] z")} {WEIGHTS}
        {{ {KEYS} {SCORES} probabilities = Softmax(scores) z = Relu(keys) {VALUES} {CONTEXT} }}""")
    becomes(
        FoldAffine(),
        before,
        """k = MatMul(x, Wk)
        keys = Transpose <perm = [0, 2, 1]> (k)
        scores = MatMul(query, keys)
        probabilities = Softmax(scores)
        plain_keys = Add(keys, keys_shift)
        z = Relu(plain_keys)
        values = MatMul(x, Wv)
        context = MatMul(probabilities, values)
        o = MatMul(context, Wo)
        y = Add(o, Wo_folded_bias)""",
    )


def test_the_values_bias_stays_where_the_context_is_read_plainly() -> None:
    before = graph("""(float[b, s, s] scores, float[b, s, 4] x) => (float[b, s, 4] y) <float[4, 4] Wv, float[4] bv>
        { probabilities = Softmax(scores) v0 = MatMul(x, Wv) v = Add(v0, bv)
          c = MatMul(probabilities, v) y = Relu(c) }""")
    leaves_alone(FoldAffine(), before)


def test_rows_that_are_not_a_softmaxs_pass_no_bias() -> None:
    before = graph("""(float[b, s, s] scores, float[b, s, 4] x) => (float[b, s, 3] y)
        <float[4, 4] Wv, float[4] bv, float[4, 3] Wo>
        { p = Sigmoid(scores) v0 = MatMul(x, Wv) v = Add(v0, bv) c = MatMul(p, v) y = MatMul(c, Wo) }""")
    leaves_alone(FoldAffine(), before)


def test_a_scale_and_a_shift_of_a_stream_that_softmax_averages_pass_through() -> None:
    before = graph("""(float[b, s, s] scores, float[b, s, 4] x) => (float[b, s, 3] y)
        <float[4] g, float[4] beta, float[4, 3] W>
        { p = Softmax(scores) r = Relu(x) m = Mul(r, g) v = Add(m, beta) c = MatMul(p, v) y = MatMul(c, W) }""")
    becomes(
        FoldAffine(),
        before,
        "p = Softmax(scores) r = Relu(x) c = MatMul(p, r) o = MatMul(c, W_folded) y = Add(o, W_folded_bias)",
    )


def test_values_split_into_heads() -> None:
    before = graph("""(float[b, 2, s, s] scores, float[b, s, 4] x) => (float[b, s, 3] y)
        <float[4, 4] Wv, float[4] bv, int64[4] heads = {0, 0, 2, 2}, int64[3] whole = {0, 0, 4}, float[4, 3] Wo>
        {
            p = Softmax(scores)
            v0 = MatMul(x, Wv)
            v1 = Add(v0, bv)
            v2 = Reshape(v1, heads)
            v = Transpose <perm = [0, 2, 1, 3]> (v2)
            c = MatMul(p, v)
            c1 = Transpose <perm = [0, 2, 1, 3]> (c)
            c2 = Reshape(c1, whole)
            y = MatMul(c2, Wo)
        }""")
    becomes(
        FoldAffine(),
        before,
        """p = Softmax(scores)
        v0 = MatMul(x, Wv)
        v2 = Reshape(v0, heads)
        v = Transpose <perm = [0, 2, 1, 3]> (v2)
        c = MatMul(p, v)
        c1 = Transpose <perm = [0, 2, 1, 3]> (c)
        c2 = Reshape(c1, whole)
        o = MatMul(c2, Wo)
        y = Add(o, Wo_folded_bias)""",
    )


def test_values_of_a_lower_rank_than_the_probabilities_keep_their_bias() -> None:
    before = graph("""(float[2, 5, 5] scores, float[5, 4] x) => (float[5, 2, 4] y) <float[4, 4] W, float[4] b>
        { p = Softmax(scores) v = Gemm(x, W, b) c = MatMul(p, v) y = Transpose <perm = [1, 0, 2]> (c) }""")
    leaves_alone(FoldAffine(), before)


def test_scores_and_a_learned_bias_of_static_length() -> None:
    before = graph("""(float[5, 4] query, float[5, 4] x, float[5, 3] z) => (float[5, 5] y)
        <float[4, 4] W, float[4] b, float[3, 5] V, float[5] c>
        {
            k = Gemm(x, W, b)
            keys = Transpose(k)
            scores = MatMul(query, keys)
            learned = Gemm(z, V, c)
            sum = Add(scores, learned)
            y = Softmax(sum)
        }""")
    becomes(
        FoldAffine(),
        before,
        """k = MatMul(x, W)
        keys = Transpose(k)
        scores = MatMul(query, keys)
        learned = Gemm(z, V, c)
        sum = Add(scores, learned)
        y = Softmax(sum)""",
        again=False,  # with the scores plain, the layer may write to them
    )


def test_keys_that_are_not_turned_keep_their_bias() -> None:
    before = graph("""(float[n, 4] query, float[4, 6] x) => (float[n, 5] y) <float[6, 5] W, float[5] b>
        { keys = Gemm(x, W, b) scores = MatMul(query, keys) y = Softmax(scores) }""")
    leaves_alone(FoldAffine(), before)


def test_values_that_are_turned_keep_their_bias() -> None:
    before = graph("""(float[n, 5] scores, float[4, 6] x) => (float[n, 3] y) <float[6, 5] W, float[5] b, float[4, 3] V>
        { p = Softmax(scores) v = Gemm(x, W, b) values = Transpose(v) c = MatMul(p, values) y = MatMul(c, V) }""")
    after = before.clone()
    FoldAffine()(after)
    assert "V.folded_bias" not in after.graph.initializers
    same_numbers(before, after)


def test_keys_that_are_a_scaled_stream_are_read_as_plain_values() -> None:
    before = graph("""(float[n, 4] query, float[T, 4] x) => (float[n, T] y) <float[4] g, float[4] beta>
        { m = Mul(x, g) k = Add(m, beta) keys = Transpose(k) scores = MatMul(query, keys) y = Softmax(scores) }""")
    after = before.clone()
    FoldAffine()(after)
    assert sorted(node.op_type for node in after.graph) == sorted(node.op_type for node in before.graph)
    same_numbers(before, after)


def test_a_mask_that_is_computed_from_an_input_is_not_modified() -> None:
    before = graph("""(float[b, 2, 5, 5] scores, float[b, 1, 1, 5] mask) => (float[b, 2, 5, 5] y)
        <float[1] one> { bias = Sub(mask, one) masked = Add(scores, bias) y = Softmax(masked) }""")
    leaves_alone(FoldAffine(), before)
