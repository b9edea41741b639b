"""NoNorm, biases and constant scales: what is folded where, and what must be left alone."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import becomes, constant, graph, leaves_alone

from graphs.passes.fold.fold_affine import FoldAffine

# x is γ₀∘x₀ + β₀, and then the block of the pass's docstring.
BLOCK = """(float[n, 4] x0) => (float[n, 3] y)
<float[4] g0, float[4] beta0, float[4, 6] W1, float[6] b1, float[6, 4] W2, float[4] b2, float[4] g, float[4] beta,
 float[4, 3] W3, float[3] b3>
{
    scaled = Mul(x0, g0)
    x = Add(scaled, beta0)
    hidden = Gemm(x, W1, b1)
    active = Relu(hidden)
    written = Gemm(active, W2, b2)
    sum = Add(written, x)
    scaled_sum = Mul(sum, g)
    normed = Add(scaled_sum, beta)
    y = Gemm(normed, W3, b3)
}"""


def test_nonorm_goes_into_the_linear_layer_that_reads_it() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y) <float[4] g, float[4] beta, float[4, 3] W, float[3] b>
        { r = Relu(x) m = Mul(r, g) a = Add(m, beta) y = Gemm(a, W, b) }""")
    after = becomes(FoldAffine(), before, "r = Relu(x) y = Gemm(r, W_folded, b_folded_bias)")
    weight = constant(before, "W")
    expected = constant(before, "b") + constant(before, "beta") @ weight
    np.testing.assert_allclose(constant(after, "W.folded"), constant(before, "g")[:, None] * weight, rtol=1e-6)
    np.testing.assert_allclose(constant(after, "b.folded_bias"), expected, rtol=1e-5)


def test_nonorm_goes_into_the_linear_layer_that_it_reads() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W, float[3] b, float[3] g, float[3] beta>
        { a = Gemm(x, W, b) m = Mul(a, g) z = Add(m, beta) y = Relu(z) }""")
    becomes(FoldAffine(), before, "z = Gemm(x, W_folded, b_folded_bias) y = Relu(z)")


def test_a_bias_between_two_linear_layers_is_carried_to_the_second() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y) <float[4, 5] W1, float[5] b1, float[5, 3] W2>
        { a = Gemm(x, W1, b1) y = MatMul(a, W2) }""")
    becomes(FoldAffine(), before, "a = MatMul(x, W1) y = Gemm(a, W2, W2_folded_bias)")


def test_a_residual_block_keeps_one_matmul_and_one_add() -> None:
    after = becomes(
        FoldAffine(),
        graph(BLOCK),
        """hidden = Gemm(x0, W1_folded, b1_folded_bias)
        active = Relu(hidden)
        written = MatMul(active, W2_folded)
        sum = Add(written, x0)
        y = Gemm(sum, W3_folded, b3_folded_bias)""",
    )
    before = graph(BLOCK)
    c, s, g = (constant(before, name) for name in ("g0", "beta0", "g"))
    w3 = constant(before, "W3")
    shift = g * (s + constant(before, "b2")) + constant(before, "beta")
    np.testing.assert_allclose(constant(after, "W2.folded"), constant(before, "W2") / c, rtol=1e-6)
    np.testing.assert_allclose(constant(after, "W3.folded"), (g * c)[:, None] * w3, rtol=1e-6)
    np.testing.assert_allclose(constant(after, "b3.folded_bias"), constant(before, "b3") + shift @ w3, rtol=1e-5)


def test_a_residual_block_for_phones_keeps_its_bias_in_its_gemm() -> None:
    before = graph(BLOCK)
    after = becomes(
        FoldAffine(bias_in_gemm=True),
        before,
        """hidden = Gemm(x0, W1_folded, b1_folded_bias)
        active = Relu(hidden)
        written = Gemm(active, W2_folded, b2_folded_bias)
        sum = Add(written, x0)
        y = Gemm(sum, W3_folded, b3_folded_bias)""",
    )
    bias = constant(before, "b2") / constant(before, "g0")
    np.testing.assert_allclose(constant(after, "b2.folded_bias"), bias, rtol=1e-6)


def test_the_same_block_in_three_dimensions() -> None:
    before = graph("""(float[b, s, 4] x0) => (float[b, s, 3] y)
        <float[4] g0, float[4] beta0, float[4, 6] W1, float[6] b1, float[6, 4] W2, float[4] b2, float[4] g,
         float[4] beta, float[4, 3] W3, float[3] b3>
        {
            scaled = Mul(x0, g0)
            x = Add(scaled, beta0)
            product1 = MatMul(x, W1)
            hidden = Add(product1, b1)
            active = Relu(hidden)
            product2 = MatMul(active, W2)
            written = Add(product2, b2)
            sum = Add(written, x)
            scaled_sum = Mul(sum, g)
            normed = Add(scaled_sum, beta)
            product3 = MatMul(normed, W3)
            y = Add(product3, b3)
        }""")
    becomes(
        FoldAffine(),
        before,
        """product1 = MatMul(x0, W1_folded)
        hidden = Add(product1, W1_folded_bias)
        active = Relu(hidden)
        product2 = MatMul(active, W2_folded)
        sum = Add(product2, x0)
        product3 = MatMul(sum, W3_folded)
        y = Add(product3, W3_folded_bias)""",
    )


def test_consecutive_blocks_carry_one_scale() -> None:
    before = graph("""(float[n, 4] x0) => (float[n, 3] y)
        <float[4, 4] V1, float[4] b1, float[4] g1, float[4] beta1, float[4, 4] V2, float[4] b2, float[4] g2,
         float[4] beta2, float[4, 4] V3, float[4] b3, float[4] g3, float[4] beta3, float[4, 3] W>
        {
            h1 = Sigmoid(x0)
            z1 = Gemm(h1, V1, b1)
            s1 = Add(z1, x0)
            m1 = Mul(s1, g1)
            x1 = Add(m1, beta1)
            z2 = Gemm(h1, V2, b2)
            s2 = Add(z2, x1)
            m2 = Mul(s2, g2)
            x2 = Add(m2, beta2)
            z3 = Gemm(h1, V3, b3)
            s3 = Add(z3, x2)
            m3 = Mul(s3, g3)
            x3 = Add(m3, beta3)
            y = MatMul(x3, W)
        }""")
    after = becomes(
        FoldAffine(),
        before,
        """h1 = Sigmoid(x0)
        z1 = MatMul(h1, V1)
        u1 = Add(z1, x0)
        z2 = MatMul(h1, V2_folded)
        u2 = Add(z2, u1)
        z3 = MatMul(h1, V3_folded)
        u3 = Add(z3, u2)
        y = Gemm(u3, W_folded, W_folded_bias)""",
    )
    g1, g2 = constant(before, "g1"), constant(before, "g2")
    np.testing.assert_allclose(constant(after, "V3.folded"), constant(before, "V3") / (g1 * g2), rtol=1e-6)


def test_of_two_linear_layers_the_later_one_writes() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y)
        <float[4, 4] W1, float[4] b1, float[4] g, float[4, 4] W2, float[4] b2, float[4, 3] W3>
        { a = Gemm(x, W1, b1) m = Mul(a, g) r = Relu(x) b = Gemm(r, W2, b2) s = Add(b, m) y = MatMul(s, W3) }""")
    becomes(
        FoldAffine(),
        before,
        """a = MatMul(x, W1_folded)
        r = Relu(x)
        b = MatMul(r, W2)
        s = Add(b, a)
        y = Gemm(s, W3, W3_folded_bias)""",
    )


def test_a_sum_of_two_linear_layers_that_is_read_plainly_keeps_the_first_ones_bias() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 4] y)
        <float[4, 4] W1, float[4] b1, float[4, 4] W2, float[4] b2>
        { a = Gemm(x, W1, b1) r = Sigmoid(x) b = Gemm(r, W2, b2) s = Add(a, b) y = Relu(s) }""")
    after = becomes(
        FoldAffine(),
        before,
        """a = Gemm(x, W1, b1)
        r = Sigmoid(x)
        b = MatMul(r, W2)
        sum = Add(a, b)
        s = Add(sum, s_shift)
        y = Relu(s)""",
        again=False,  # b1 would join s.shift: other nodes, not fewer
    )
    np.testing.assert_array_equal(constant(after, "s.shift").reshape(-1), constant(before, "b2"))
    leaves_alone(FoldAffine(bias_in_gemm=True), before)


def test_two_streams_that_add_add_their_shifts() -> None:
    before = graph("""(float[n, 4] x, float[n, 4] z) => (float[n, 3] y)
        <float[4] beta, float[4] delta, float[4, 3] W>
        { a = Add(x, beta) b = Sub(z, delta) s = Add(a, b) y = MatMul(s, W) }""")
    after = becomes(FoldAffine(), before, "s = Add(x, z) y = Gemm(s, W, W_folded_bias)")
    shift = constant(before, "beta") - constant(before, "delta")
    np.testing.assert_allclose(constant(after, "W.folded_bias"), shift @ constant(before, "W"), rtol=1e-5)


def test_two_streams_of_different_scales_are_added_as_plain_values() -> None:
    before = graph("""(float[n, 4] x, float[n, 4] z) => (float[n, 3] y) <float[4] g, float[4, 3] W>
        { a = Mul(x, g) s = Add(a, z) y = MatMul(s, W) }""")
    leaves_alone(FoldAffine(), before)


def test_a_stream_added_to_itself() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y) <float[4] beta, float[4, 3] W>
        { a = Add(x, beta) s = Add(a, a) y = MatMul(s, W) }""")
    after = becomes(FoldAffine(), before, "s = Add(x, x) y = Gemm(s, W, W_folded_bias)")
    doubled = 2 * constant(before, "beta") @ constant(before, "W")
    np.testing.assert_allclose(constant(after, "W.folded_bias"), doubled, rtol=1e-5)


def test_a_constant_scale_of_the_query_goes_into_its_weight_and_bias() -> None:
    before = graph("""(float[b, s, 4] x, float[b, 4, s] keys) => (float[b, s, s] y) <float[4, 4] W, float[4] b>
        {
            product = MatMul(x, W)
            query = Add(product, b)
            size = Constant <value = float {0.5}> ()
            scaled = Mul(query, size)
            scores = MatMul(scaled, keys)
            y = Softmax(scores)
        }""")
    after = becomes(
        FoldAffine(),
        before,
        "p = MatMul(x, W_folded) q = Add(p, W_folded_bias) scores = MatMul(q, keys) y = Softmax(scores)",
    )
    np.testing.assert_allclose(constant(after, "W.folded"), constant(before, "W") / 2, rtol=1e-6)
    np.testing.assert_allclose(constant(after, "W.folded_bias"), constant(before, "b") / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("Mul(x, k)", "y = MatMul(x, W_folded)"),
        ("Mul(k, x)", "y = MatMul(x, W_folded)"),
        ("Div(x, k)", "y = MatMul(x, W_folded)"),
        ("Add(x, k)", "y = Gemm(x, W, W_folded_bias)"),
        ("Add(k, x)", "y = Gemm(x, W, W_folded_bias)"),
        ("Sub(x, k)", "y = Gemm(x, W, W_folded_bias)"),
        ("Sub(k, x)", "y = Gemm(x, W_folded, W_folded_bias)"),
    ],
)
@pytest.mark.parametrize("shape", ["4", "1, 4", "1"])
def test_every_operation_with_a_constant_per_channel_is_folded(operation: str, body: str, shape: str) -> None:
    before = graph(f"""(float[n, 4] x) => (float[n, 3] y) <float[{shape}] k, float[4, 3] W>
        {{ a = {operation} y = MatMul(a, W) }}""")
    becomes(FoldAffine(), before, body)


@pytest.mark.parametrize("operation", ["Mul(x, k)", "Add(x, k)", "Sub(k, x)", "Div(x, k)"])
@pytest.mark.parametrize("shape", ["5, 1", "5, 4", "1, 1, 4"])
def test_a_constant_that_differs_between_tokens_or_adds_a_dimension_is_not_folded(operation: str, shape: str) -> None:
    result = "float[1, 5, 3]" if shape == "1, 1, 4" else "float[5, 3]"
    before = graph(f"""(float[5, 4] x) => ({result} y) <float[{shape}] k, float[4, 3] W>
        {{ a = {operation} y = MatMul(a, W) }}""")
    leaves_alone(FoldAffine(), before)


def test_a_constant_divided_by_a_stream_is_not_folded() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y) <float[4] k, float[4, 3] W>
        { a = Div(k, x) y = MatMul(a, W) }""")
    leaves_alone(FoldAffine(), before)


def test_a_division_by_zero_is_not_folded() -> None:
    before = graph(
        """(float[n, 4] x) => (float[n, 3] y) <float[4] k, float[4, 3] W> { a = Div(x, k) y = MatMul(a, W) }""",
        k=np.array([1, 2, 0, 4]),
    )
    leaves_alone(FoldAffine(), before)


def test_a_product_of_two_activations_reads_plain_values() -> None:
    before = graph("""(float[n, 4] x, float[n, 4] z) => (float[n, 3] y) <float[4] g, float[4, 3] W>
        { a = Mul(x, g) p = Mul(a, z) y = MatMul(p, W) }""")
    leaves_alone(FoldAffine(), before)


def test_integers_are_not_modified() -> None:
    before = graph("""(int64[n, 4] x, int64[n, 4] z) => (int64[n, 4] y) <int64[4] k = {1, 2, 3, 4}>
        { a = Add(x, k) b = Sub(z, k) c = Add(a, b) y = Mul(c, k) }""")
    leaves_alone(FoldAffine(), before)


KEYS = "k0 = MatMul(x, W) k = Add(k0, b) t = Transpose <perm = [0, 2, 1]> (k) scores = MatMul(q, t) y = Softmax(scores)"
VALUES = "p = Softmax(q) v0 = MatMul(x, W) v = Add(v0, b) c = MatMul(p, v) y = MatMul(c, W)"
SCALE = "scaled = Mul(x, b) y = MatMul(scaled, W)"


@pytest.mark.parametrize(
    ("body", "name"), [(KEYS, "scores"), (KEYS, "y"), (VALUES, "p"), (VALUES, "c"), (SCALE, "scaled"), (SCALE, "y")]
)
def test_an_operator_of_another_domain_is_left_alone_and_reads_plain_values(body: str, name: str) -> None:
    before = graph(f"""(float[n, 4, 4] q, float[n, 4, 4] x) => (float[n, 4, 4] y)
        <float[4, 4] W, float[4] b> {{ {body} }}""")
    assert FoldAffine()(before.clone()).modified
    node = next(node for node in before.graph if node.outputs[0].name == name)
    node.domain = "com.example"
    leaves_alone(FoldAffine(), before)


def test_layer_normalization_reads_its_sum_as_it_was() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y)
        <float[4, 6] W1, float[6] b1, float[6, 4] W2, float[4] g, float[4] beta, float[4, 3] W3, float[3] b3>
        {
            hidden = Gemm(x, W1, b1)
            active = Relu(hidden)
            written = MatMul(active, W2)
            sum = Add(written, x)
            normed = LayerNormalization(sum, g, beta)
            y = Gemm(normed, W3, b3)
        }""")
    leaves_alone(FoldAffine(), before)


def test_layer_normalization_between_two_streams_reads_the_plain_first() -> None:
    before = graph("""(float[n, 4] x0) => (float[n, 3] y)
        <float[4] g0, float[4] beta0, float[4, 4] W1, float[4] b1, float[4] g, float[4] beta,
         float[4] g2, float[4, 3] W2>
        {
            scaled = Mul(x0, g0)
            x = Add(scaled, beta0)
            active = Sigmoid(x0)
            written = Gemm(active, W1, b1)
            sum = Add(written, x)
            normed = LayerNormalization(sum, g, beta)
            scaled_again = Mul(normed, g2)
            y = MatMul(scaled_again, W2)
        }""")
    becomes(
        FoldAffine(bias_in_gemm=True),
        before,
        """scaled = Mul(x0, g0)
        x = Add(scaled, beta0)
        active = Sigmoid(x0)
        written = Gemm(active, W1, b1)
        sum = Add(written, x)
        normed = LayerNormalization(sum, g, beta)
        y = MatMul(normed, W2_folded)""",
    )


def test_a_weight_of_two_layers_is_folded_for_each() -> None:
    before = graph("""(float[n, 4] x, float[n, 4] z) => (float[n, 3] y, float[n, 3] w)
        <float[4] g, float[4, 3] W, float[3] b>
        { a = Mul(x, g) y = Gemm(a, W, b) w = Gemm(z, W, b) }""")
    becomes(FoldAffine(), before, "y = Gemm(x, W_folded, b_folded_bias) w = Gemm(z, W, b)")


def test_a_weight_that_two_scales_read_is_folded_twice() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y, float[n, 3] w) <float[4] g, float[4] h, float[4, 3] W>
        { a = Mul(x, g) y = MatMul(a, W) c = Mul(x, h) w = MatMul(c, W) }""")
    becomes(FoldAffine(), before, "y = MatMul(x, W_folded) w = MatMul(x, W_folded_2)")


def test_a_weight_that_is_also_an_output_stays_as_it_is() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y, float[4, 3] W) <float[4] g, float[4, 3] W>
        { a = Mul(x, g) y = MatMul(a, W) }""")
    becomes(FoldAffine(), before, "y = MatMul(x, W_folded)")


def test_a_constant_that_two_nonorms_share_is_folded_into_one_and_kept_for_the_other() -> None:
    before = graph("""(float[n, 4] x, float[n, 4] z) => (float[n, 3] y, float[n, 4] w)
        <float[4] g, float[4, 3] W> { a = Mul(x, g) y = MatMul(a, W) w = Mul(z, g) }""")
    becomes(FoldAffine(), before, "y = MatMul(x, W_folded) w = Mul(z, g)")


def test_a_transposed_weight_is_folded_as_it_acts() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y, float[n, 3] w) <float[4] g, float[3, 4] W, float[3] b>
        { a = Mul(x, g) y = Gemm <transB = 1> (a, W, b) w = Gemm <transB = 1> (x, W) }""")
    becomes(FoldAffine(), before, "y = Gemm(x, W_folded, b_folded_bias) w = Gemm <transB = 1> (x, W)")


def test_a_bias_alone_leaves_a_transposed_weight_where_it_is() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y) <float[4] beta, float[3, 4] W>
        { a = Add(x, beta) y = Gemm <transB = 1> (a, W) }""")
    becomes(FoldAffine(), before, "y = Gemm <transB = 1> (x, W, W_folded_bias)")


@pytest.mark.parametrize("attribute", ["alpha = 0.5", "beta = 0.5"])
def test_a_gemm_that_scales_is_not_modified(attribute: str) -> None:
    before = graph(f"""(float[n, 4] x) => (float[n, 3] y) <float[4] g, float[4, 3] W, float[3] b>
        {{ a = Mul(x, g) y = Gemm <{attribute}> (a, W, b) }}""")
    leaves_alone(FoldAffine(), before)


def test_a_gemm_of_a_transposed_input_is_not_modified() -> None:
    before = graph("""(float[4, 4] x) => (float[4, 3] y) <float[4] g, float[4, 3] W, float[3] b>
        { a = Mul(x, g) y = Gemm <transA = 1> (a, W, b) }""")
    leaves_alone(FoldAffine(), before)


def test_a_gemm_whose_third_input_is_computed_is_not_modified() -> None:
    before = graph("""(float[n, 4] x, float[n, 3] z) => (float[n, 3] y) <float[4] g, float[3] h, float[4, 3] W>
        { a = Mul(x, g) c = Mul(z, h) y = Gemm(a, W, c) }""")
    leaves_alone(FoldAffine(), before)


def test_a_product_and_its_bias_become_one_gemm_in_two_dimensions_only() -> None:
    body = "<float[4, 3] W, float[3] b> { a = MatMul(x, W) z = Add(a, b) y = Relu(z) }"
    flat, deep = (
        graph(f"(float[n, 4] x) => (float[n, 3] y) {body}"),
        graph(f"(float[b, s, 4] x) => (float[b, s, 3] y) {body}"),
    )
    becomes(FoldAffine(), flat, "z = Gemm(x, W, W_folded_bias) y = Relu(z)")
    leaves_alone(FoldAffine(), deep)


def test_a_linear_layer_that_is_an_output_keeps_its_bias() -> None:
    before = graph("(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W, float[3] b> { y = Gemm(x, W, b) }")
    leaves_alone(FoldAffine(), before)


def test_a_linear_layer_that_is_an_output_and_is_read_keeps_its_bias() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 4] y, float[n, 3] z) <float[4, 4] W, float[4] b, float[4, 3] V>
        { y = Gemm(x, W, b) z = MatMul(y, V) }""")
    leaves_alone(FoldAffine(), before)


def test_unaffine_nodes_and_views_without_a_stream_are_not_modified() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 2, 2] y) <int64[3] s = {-1, 2, 2}>
        { a = Relu(x) y = Reshape(a, s) }""")
    leaves_alone(FoldAffine(), before)


def test_dead_nodes_are_removed_and_the_pass_says_so() -> None:
    before = graph("(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W> { a = Relu(x) y = MatMul(x, W) }")
    becomes(FoldAffine(), before, "y = MatMul(x, W)")


def test_a_stream_that_is_an_output_is_written_out_there() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 4] mid, float[n, 4] last)
        <float[4, 4] W1, float[4] b1, float[4] g1, float[4] beta1,
         float[4, 4] W2, float[4] b2, float[4] g2, float[4] beta2>
        {
            h1 = Sigmoid(x)
            z1 = Gemm(h1, W1, b1)
            s1 = Add(z1, x)
            m1 = Mul(s1, g1)
            mid = Add(m1, beta1)
            h2 = Sigmoid(mid)
            z2 = Gemm(h2, W2, b2)
            s2 = Add(z2, mid)
            m2 = Mul(s2, g2)
            last = Add(m2, beta2)
        }""")
    after = becomes(
        FoldAffine(),
        before,
        """h1 = Sigmoid(x)
        z1 = MatMul(h1, W1)
        s1 = Add(z1, x)
        m1 = Mul(s1, mid_scale)
        mid = Add(m1, mid_shift)
        h2 = Sigmoid(mid)
        z2 = MatMul(h2, W2)
        s2 = Add(z2, mid)
        m2 = Mul(s2, last_scale)
        last = Add(m2, last_shift)""",
    )
    shift = constant(before, "g1") * constant(before, "b1") + constant(before, "beta1")
    np.testing.assert_allclose(constant(after, "mid.shift").reshape(-1), shift, rtol=1e-5)


def test_a_nonorm_that_is_an_output_and_is_read_stays_as_found() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y, float[n, 4] a) <float[4] g, float[4] beta, float[4, 3] W>
        { m = Mul(x, g) a = Add(m, beta) y = MatMul(a, W) }""")
    leaves_alone(FoldAffine(), before)


def test_a_view_of_a_stream_as_an_output() -> None:
    before = graph("""(float[n, 4] x) => (float[4, n] y, float[n, 2, 2] z)
        <float[4, 4] W, float[4] b, float[4] g, int64[3] s = {-1, 2, 2}>
        { a = Gemm(x, W, b) m = Mul(a, g) y = Transpose(m) z = Reshape(m, s) }""")
    becomes(FoldAffine(), before, "m = Gemm(x, W_folded, b_folded_bias) y = Transpose(m) z = Reshape(m, s)")


def test_a_view_of_a_residual_stream_as_an_output() -> None:
    before = graph("""(float[n, 4] x) => (float[4, n] y, float[n, 3] z)
        <float[4, 4] W, float[4] b, float[4] g, float[4, 3] V>
        { r = Sigmoid(x) a = Gemm(r, W, b) s = Add(x, a) m = Mul(s, g) y = Transpose(m) z = MatMul(m, V) }""")
    becomes(
        FoldAffine(),
        before,
        """r = Sigmoid(x)
        a = MatMul(r, W)
        s = Add(x, a)
        scaled = Mul(s, m_scale)
        m = Add(scaled, m_shift)
        y = Transpose(m)
        z = MatMul(m, V)""",
    )


def test_a_value_read_within_a_branch_is_plain_there() -> None:
    before = graph("""(float[n, 4] x, bool c) => (float[n, 4] z)
        <float[4, 4] W, float[4] b, float[4] g, float[4, 4] V>
        {
            a = Gemm(x, W, b)
            m = Mul(a, g)
            y = MatMul(m, V)
            z = If (c) <then_branch = t () => (float[n, 4] t0) { t0 = Add(m, y) },
                        else_branch = e () => (float[n, 4] e0) { e0 = Sub(m, y) }>
        }""")
    becomes(
        FoldAffine(),
        before,
        """m = Gemm(x, W_folded, b_folded_bias)
        y = MatMul(m, V)
        z = If (c) <then_branch = t () => (float[n, 4] t0) { t0 = Add(m, y) },
                    else_branch = e () => (float[n, 4] e0) { e0 = Sub(m, y) }>""",
    )


def test_a_layer_within_a_branch_reads_a_plain_stream() -> None:
    before = graph("""(float[n, 4] x, bool c) => (float[n, 3] z) <float[4, 4] W, float[4] b, float[4, 3] V>
        {
            m = Gemm(x, W, b)
            z = If (c) <then_branch = t () => (float[n, 3] t0) { t0 = MatMul(m, V) },
                        else_branch = e () => (float[n, 3] e0) { e1 = MatMul(m, V) e0 = Relu(e1) }>
        }""")
    leaves_alone(FoldAffine(), before)


def test_heads_are_scaled_one_by_one() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y)
        <float[4, 4] W, float[4] b, float[2, 1] g, int64[3] heads = {-1, 2, 2}, int64[2] flat = {-1, 4}, float[4, 3] V>
        { a = Gemm(x, W, b) h = Reshape(a, heads) m = Mul(h, g) f = Reshape(m, flat) y = MatMul(f, V) }""")
    after = becomes(
        FoldAffine(),
        before,
        """a = MatMul(x, W_folded)
        h = Reshape(a, heads)
        f = Reshape(h, flat)
        y = Gemm(f, V, V_folded_bias)""",
    )
    scale = np.repeat(constant(before, "g").reshape(-1), 2)
    np.testing.assert_allclose(constant(after, "W.folded"), constant(before, "W") * scale, rtol=1e-6)


def test_a_shift_after_a_view_is_carried_once() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y)
        <float[4, 4] W, float[2, 2] k, int64[3] heads = {-1, 2, 2}, int64[2] flat = {-1, 4}, float[4, 3] V>
        { a = MatMul(x, W) h = Reshape(a, heads) m = Add(h, k) f = Reshape(m, flat) y = MatMul(f, V) }""")
    becomes(
        FoldAffine(),
        before,
        "a = MatMul(x, W) h = Reshape(a, heads) f = Reshape(h, flat) y = Gemm(f, V, V_folded_bias)",
    )


def test_a_scale_after_a_view_of_a_residual_is_carried_once() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y)
        <float[4, 4] W, float[2, 2] k, int64[3] heads = {-1, 2, 2}, int64[2] flat = {-1, 4}, float[4, 3] V>
        {
            r = Sigmoid(x)
            a = MatMul(r, W)
            s = Add(a, x)
            h = Reshape(s, heads)
            m = Mul(h, k)
            f = Reshape(m, flat)
            y = MatMul(f, V)
        }""")
    becomes(
        FoldAffine(),
        before,
        """r = Sigmoid(x)
        a = MatMul(r, W)
        s = Add(a, x)
        h = Reshape(s, heads)
        f = Reshape(h, flat)
        y = MatMul(f, V_folded)""",
    )


def test_a_layer_over_the_channels_of_one_head_reads_plain_values() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 2, 3] y) <float[4] g, int64[3] heads = {-1, 2, 2}, float[2, 3] V>
        { m = Mul(x, g) h = Reshape(m, heads) y = MatMul(h, V) }""")
    becomes(FoldAffine(), before, "h = Reshape(x, heads) m = Mul(h, h_scale) y = MatMul(m, V)")


@pytest.mark.parametrize("tokens", [3, 4])
def test_a_layer_over_tokens_reads_plain_values(tokens: int) -> None:
    before = graph(f"""(float[{tokens}, 4] x) => (float[4, 5] y) <float[4] g, float[4] beta, float[{tokens}, 5] W>
        {{ m = Mul(x, g) a = Add(m, beta) t = Transpose(a) y = MatMul(t, W) }}""")
    becomes(
        FoldAffine(),
        before,
        "turned = Transpose(x) m = Mul(turned, t_scale) t = Add(m, t_shift) y = MatMul(t, W)",
    )


def test_a_layer_does_not_write_to_a_transposed_stream() -> None:
    before = graph("""(float[3, 4] x, float[4, 2] z) => (float[4, 5] y)
        <float[4] beta, float[2, 3] W, float[3] b, float[3, 5] V>
        { a = Add(x, beta) t = Transpose(a) w = Gemm(z, W, b) s = Add(t, w) y = MatMul(s, V) }""")
    becomes(
        FoldAffine(),
        before,
        "turned = Transpose(x) t = Add(turned, t_shift) w = Gemm(z, W, b) s = Add(t, w) y = MatMul(s, V)",
        again=False,  # with t plain, w may write to it
    )


def test_a_split_stream_is_folded_part_by_part() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y, float[n, 3] z)
        <float[4, 4] W, float[4] b, int64[2] sizes = {1, 3}, float[1, 3] V, float[3, 3] U>
        { a = Gemm(x, W, b) l, r = Split <axis = -1> (a, sizes) y = MatMul(l, V) z = MatMul(r, U) }""")
    becomes(
        FoldAffine(),
        before,
        """a = MatMul(x, W)
        l, r = Split <axis = -1> (a, sizes)
        y = Gemm(l, V, V_folded_bias)
        z = Gemm(r, U, U_folded_bias)""",
    )


def test_half_precision_stays_half_precision() -> None:
    model = graph("""(float16[n, 4] x) => (float16[n, 3] y) <float16[4] g, float16[4, 3] W>
        { a = Mul(x, g) y = MatMul(a, W) }""")
    FoldAffine()(model)
    assert model.graph.initializers["W.folded"].dtype == ir.DataType.FLOAT16


def test_two_constants_after_a_product_become_one() -> None:
    before = graph("""(float[b, s, 4] x) => (float[b, s, 3] y) <float[4, 3] W, float[3] k, float[3] j>
        { a = MatMul(x, W) c = Add(a, k) d = Sub(c, j) y = Relu(d) }""")
    becomes(FoldAffine(), before, "a = MatMul(x, W) d = Add(a, W_folded_bias) y = Relu(d)")


def test_a_scale_in_the_order_of_turned_heads_goes_to_its_own_channels() -> None:
    before = graph("""(float[n, 6] x) => (float[n, 2, 3] y) <float[6, 6] W, int64[3] heads = {-1, 3, 2}, float[2, 3] k>
        { a = MatMul(x, W) h = Reshape(a, heads) t = Transpose <perm = [0, 2, 1]> (h) m = Mul(t, k) y = Relu(m) }""")
    becomes(
        FoldAffine(),
        before,
        "a = MatMul(x, W_folded) h = Reshape(a, heads) m = Transpose <perm = [0, 2, 1]> (h) y = Relu(m)",
    )


def test_a_layer_behind_a_reshape_writes_to_a_stream_as_it_is() -> None:
    before = graph("""(float[2, 5, 4] x) => (float[2, 5, 3] y)
        <int64[2] flat = {-1, 4}, int64[3] deep = {2, 5, 4}, float[4, 4] W, float[4] b, float[4, 3] V>
        {
            r = Sigmoid(x)
            f = Reshape(r, flat)
            w = Gemm(f, W, b)
            d = Reshape(w, deep)
            s = Add(d, x)
            y = MatMul(s, V)
        }""")
    becomes(
        FoldAffine(),
        before,
        """r = Sigmoid(x)
        f = Reshape(r, flat)
        w = MatMul(f, W)
        d = Reshape(w, deep)
        s = Add(d, x)
        product = MatMul(s, V)
        y = Add(product, V_folded_bias)""",
    )


def test_a_layer_that_is_an_output_is_not_computed_twice_for_a_scaled_reader() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 4] y, float[n, 4] z) <float[4, 4] W, float[4] b, float[4] g>
        { y = Gemm(x, W, b) m = Mul(y, g) z = Relu(m) }""")
    leaves_alone(FoldAffine(), before)


def test_a_layer_that_two_activations_multiply_keeps_its_bias() -> None:
    before = graph("""(float[n, 4] x, float[n, 4] z) => (float[n, 4] y, float[n, 4] w) <float[4, 4] W, float[4] b>
        { a = Gemm(x, W, b) y = Mul(a, z) w = Div(z, a) }""")
    leaves_alone(FoldAffine(), before)


def test_a_weight_for_each_example_is_no_linear_layer() -> None:
    before = graph("""(float[2, 5, 4] x) => (float[2, 5, 3] y) <float[4] g, float[2, 4, 3] W>
        { a = Mul(x, g) y = MatMul(a, W) }""")
    leaves_alone(FoldAffine(), before)


def test_a_layer_that_operators_of_another_domain_read_keeps_its_bias() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 4] y, float[n, 4] z) <float[4, 4] W, float[4] b>
        { a = Gemm(x, W, b) y = Add(a, x) z = Add(x, a) }""")
    for node in before.graph:
        if node.op_type == "Add":
            node.domain = "com.example"
    leaves_alone(FoldAffine(), before)


def test_a_bias_of_zeros_is_none() -> None:
    """Fused operators have one where a block has none; written out, it is gone."""
    before = graph(
        "(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W, float[3] b> { y = Gemm(x, W, b) }", b=np.zeros(3)
    )
    becomes(FoldAffine(), before, "y = MatMul(x, W)")
