"""Linear layers that read one tensor, as one."""

from __future__ import annotations

import numpy as np
from graph_helpers import becomes, constant, graph, leaves_alone

from graphs.passes.fold.merge_linear import MergeLinear


def test_three_layers_of_one_tensor_become_one_and_a_split() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] a, float[n, 2] b, float[n, 1] c)
        <float[4, 3] W1, float[4, 2] W2, float[4, 1] W3>
        { a = MatMul(x, W1) b = MatMul(x, W2) c = MatMul(x, W3) }""")
    after = becomes(
        MergeLinear(), before, "wide = MatMul(x, W1_merged) a, b, c = Split <axis = -1> (wide, split_sizes)"
    )
    np.testing.assert_array_equal(constant(after, "split_sizes"), [3, 2, 1])


def test_the_order_of_the_parts_is_that_of_the_layers() -> None:
    before = graph("""(float[b, s, 4] x) => (float[b, s, 2] late, float[b, s, 3] early)
        <float[4, 3] W1, float[4, 2] W2> { y1 = MatMul(x, W1) early = Relu(y1) y2 = MatMul(x, W2) late = Relu(y2) }""")
    becomes(
        MergeLinear(),
        before,
        """wide = MatMul(x, W1_merged)
        y1, y2 = Split <axis = -1> (wide, split_sizes)
        early = Relu(y1)
        late = Relu(y2)""",
    )


def test_layers_without_a_bias_get_one_of_zeros_beside_those_that_have_one() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] a, float[n, 2] b, float[n, 2] c)
        <float[4, 3] W1, float[4, 2] W2, float[2] b2, float[4, 2] W3, float[1] b3>
        { a = MatMul(x, W1) b = Gemm(x, W2, b2) c = Gemm(x, W3, b3) }""")
    after = becomes(
        MergeLinear(),
        before,
        "wide = Gemm(x, W1_merged, W1_merged_bias) a, b, c = Split <axis = -1> (wide, split_sizes)",
    )
    expected = [0, 0, 0, *constant(before, "b2"), *np.repeat(constant(before, "b3"), 2)]
    np.testing.assert_array_equal(constant(after, "W1.merged_bias"), expected)


def test_a_transposed_weight_is_merged_as_it_acts() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] a, float[n, 4] b) <float[3, 4] W1, float[4, 4] W2>
        { a = Gemm <transB = 1> (x, W1) b = Gemm <transB = 1> (x, W2) }""")
    becomes(MergeLinear(), before, "wide = MatMul(x, W1_merged) a, b = Split <axis = -1> (wide, split_sizes)")


def test_groups_that_follow_each_other_are_merged_each() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 2] c, float[n, 2] d, float[n, 3] b)
        <float[4, 3] W1, float[4, 3] W2, float[3, 2] W3, float[3, 2] W4>
        { a = MatMul(x, W1) b = MatMul(x, W2) c = MatMul(a, W3) d = MatMul(a, W4) }""")
    becomes(
        MergeLinear(),
        before,
        """wide = MatMul(x, W1_merged)
        a, b = Split <axis = -1> (wide, split_sizes)
        wide2 = MatMul(a, W3_merged)
        c, d = Split <axis = -1> (wide2, split_sizes_2)""",
    )


def test_layers_of_different_tensors_are_not_modified() -> None:
    before = graph("""(float[n, 4] x, float[n, 4] z) => (float[n, 3] a, float[n, 3] b)
        <float[4, 3] W1, float[4, 3] W2> { a = MatMul(x, W1) b = MatMul(z, W2) }""")
    leaves_alone(MergeLinear(), before)


def test_a_weight_that_is_read_twice_stays_where_it_is() -> None:
    before = graph("""(float[n, 4] x, int64[n] ids) => (float[n, 3] a, float[n, 3] b, float[n, 3] c)
        <float[4, 3] W1, float[4, 3] W2>
        { a = MatMul(x, W1) b = MatMul(x, W2) c = Gather(W1, ids) }""")
    leaves_alone(MergeLinear(), before)


def test_products_of_activations_and_scaled_products_are_not_modified() -> None:
    before = graph("""(float[n, 4] x, float[4, n] z) => (float[n, n] a, float[n, 3] b, float[n, 3] c)
        <float[4, 3] W1, float[4, 3] W2> { a = MatMul(x, z) b = Gemm <alpha = 0.5> (x, W1) c = MatMul(x, W2) }""")
    leaves_alone(MergeLinear(), before)
