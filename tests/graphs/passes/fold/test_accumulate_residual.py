"""The residual as the third input of Gemm."""

from __future__ import annotations

import pytest
from graph_helpers import becomes, graph, leaves_alone

from graphs.passes.fold.accumulate_residual import AccumulateResidual


@pytest.mark.parametrize("operands", ["product, u", "u, product"])
def test_a_residual_becomes_the_third_input_of_its_product(operands: str) -> None:
    before = graph(f"""(float[n, 4] x, float[n, 3] u) => (float[n, 3] y) <float[4, 3] W>
        {{ product = MatMul(x, W) y = Add({operands}) }}""")
    becomes(AccumulateResidual(), before, "y = Gemm(x, W, u)")


def test_within_a_graph_it_stands_where_the_sum_stood() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] z) <float[4, 3] W, float[4, 3] V>
        { product = MatMul(x, W) r = Relu(x) u = MatMul(r, V) v = Relu(u) y = Add(product, v) z = Relu(y) }""")
    becomes(
        AccumulateResidual(),
        before,
        "r = Relu(x) u = MatMul(r, V) v = Relu(u) y = Gemm(x, W, v) z = Relu(y)",
    )


def test_a_transposed_weight_stays_transposed() -> None:
    before = graph("""(float[n, 4] x, float[n, 3] u) => (float[n, 3] y) <float[3, 4] W>
        { product = Gemm <transB = 1> (x, W) y = Add(product, u) }""")
    becomes(AccumulateResidual(), before, "y = Gemm <transB = 1> (x, W, u)")


def test_of_two_products_one_takes_in_the_other() -> None:
    before = graph("""(float[n, 4] x, float[n, 4] z) => (float[n, 3] y) <float[4, 3] W, float[4, 3] V>
        { a = MatMul(x, W) b = MatMul(z, V) y = Add(a, b) }""")
    becomes(AccumulateResidual(), before, "b = MatMul(z, V) y = Gemm(x, W, b)")


def test_a_chain_of_residuals_becomes_a_chain_of_gemms() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 4] y) <float[4, 4] W, float[4, 4] V>
        { a = MatMul(x, W) s = Add(a, x) b = MatMul(s, V) y = Add(s, b) }""")
    becomes(AccumulateResidual(), before, "s = Gemm(x, W, x) y = Gemm(s, V, s)")


@pytest.mark.parametrize(
    ("signature", "product"),
    [
        pytest.param("(float[n, 4] x, float[n, 3] u) => (float[n, 3] y)", "Gemm(x, W, b)", id="a bias"),
        pytest.param("(float[n, 4] x, float[n, 3] u) => (float[n, 3] y)", "Gemm <alpha = 0.5> (x, W)", id="alpha"),
        pytest.param(
            "(float[n, 4] x, float[n, 3] u) => (float[n, 3] y, float[n, 3] p)", "MatMul(x, W)", id="an output"
        ),
        pytest.param("(float[n, 4] x, float[3] u) => (float[n, 3] y)", "MatMul(x, W)", id="a vector"),
        pytest.param("(float[n, 4] x, float[1, 3] u) => (float[n, 3] y)", "MatMul(x, W)", id="one row"),
        pytest.param("(float[n, 4] x, float[n, 1] u) => (float[n, 3] y)", "MatMul(x, W)", id="one column"),
        pytest.param("(float[1, 4] x, float[n, 3] u) => (float[n, 3] y)", "MatMul(x, W)", id="a broadcast product"),
        pytest.param("(float[n, 4] x, float[b, n, 3] u) => (float[b, n, 3] y)", "MatMul(x, W)", id="another rank"),
        pytest.param(
            "(float[b, s, 4] x, float[b, s, 3] u) => (float[b, s, 3] y)", "MatMul(x, W)", id="three dimensions"
        ),
    ],
)
def test_it_leaves_alone(signature: str, product: str) -> None:
    before = graph(f"{signature} <float[4, 3] W, float[3] b> {{ p = {product} y = Add(p, u) }}")
    leaves_alone(AccumulateResidual(), before)


def test_a_product_that_something_else_reads_is_not_modified() -> None:
    before = graph("""(float[n, 4] x, float[n, 3] u) => (float[n, 3] y, float[n, 3] z) <float[4, 3] W>
        { p = MatMul(x, W) y = Add(p, u) z = Relu(p) }""")
    leaves_alone(AccumulateResidual(), before)


def test_a_product_of_two_activations_is_not_modified() -> None:
    before = graph("""(float[n, 4] x, float[4, 3] z, float[n, 3] u) => (float[n, 3] y)
        { p = MatMul(x, z) y = Add(p, u) }""")
    leaves_alone(AccumulateResidual(), before)


def test_a_difference_is_not_modified() -> None:
    before = graph("""(float[n, 4] x, float[n, 3] u) => (float[n, 3] y) <float[4, 3] W>
        { p = MatMul(x, W) y = Sub(p, u) }""")
    leaves_alone(AccumulateResidual(), before)


def test_a_weight_that_is_read_twice_is_no_obstacle() -> None:
    before = graph("""(float[n, 4] x, float[n, 3] u) => (float[n, 3] y, float[n, 3] z) <float[4, 3] W>
        { p = MatMul(x, W) y = Add(p, u) r = Relu(x) z = MatMul(r, W) }""")
    becomes(AccumulateResidual(), before, "y = Gemm(x, W, u) r = Relu(x) z = MatMul(r, W)")
