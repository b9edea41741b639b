"""The LM head without a second copy of the word embeddings."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Text, becomes, constant, graph, leaves_alone

from graphs.passes.canonicalize.split_tied_head import SplitTiedHead

# 7 words, embedded in 3 numbers; streams of 5.
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(7, 3)).astype(np.float32)
DENSE = RNG.normal(size=(2, 7)).astype(np.float32)
HEAD = np.concatenate([TABLE.T, DENSE])

INPUTS = Text("(int64[n] ids, float[n, 5] x) => (float[n, 3] words, float[n, 7] y)")
SPLIT = "words = Gather(table, ids) a = Slice(x, head_bound, head_bound_2, head_bound_3)"
REST = "c = Slice(x, head_bound_4, head_bound_5, head_bound_6)"


def head(nodes: str, weights: np.ndarray = HEAD, inputs: str = INPUTS) -> ir.Model:
    shape = ", ".join(map(str, weights.shape))
    return graph(
        f"{inputs} <float[7, 3] table, float[{shape}] W, float[7] bias> {{ words = Gather(table, ids) {nodes} }}",
        table=TABLE,
        W=weights,
    )


def test_a_product_and_its_bias() -> None:
    after = becomes(
        SplitTiedHead(),
        head("p = MatMul(x, W) y = Add(p, bias)"),
        f"{SPLIT} tied = Gemm <transB = 1> (a, table, bias) {REST} y = Gemm(c, W_dense, tied)",
    )
    np.testing.assert_array_equal(constant(after, "W.dense"), DENSE)
    bounds = [constant(after, name).tolist() for name in ("head_bound", "head_bound.2", "head_bound.3")]
    assert bounds == [[0], [3], [1]]


def test_a_gemm() -> None:
    becomes(
        SplitTiedHead(),
        head("y = Gemm(x, W, bias)"),
        f"{SPLIT} tied = Gemm <transB = 1> (a, table, bias) {REST} y = Gemm(c, W_dense, tied)",
    )


@pytest.mark.parametrize("nodes", ["y = MatMul(x, W)", "y = Gemm(x, W)"])
def test_a_head_without_a_bias(nodes: str) -> None:
    becomes(
        SplitTiedHead(),
        head(nodes),
        f"{SPLIT} tied = Gemm <transB = 1> (a, table) {REST} y = Gemm(c, W_dense, tied)",
    )


def test_a_weight_that_the_graph_puts_together() -> None:
    before = graph(
        f"""{INPUTS} <float[7, 3] table, float[2, 7] dense, float[7] bias>
        {{ words = Gather(table, ids) upper = Transpose(table) W = Concat <axis = 0> (upper, dense)
           p = MatMul(x, W) y = Add(bias, p) }}""",
        table=TABLE,
    )
    becomes(
        SplitTiedHead(),
        before,
        f"{SPLIT} tied = Gemm <transB = 1> (a, table, bias) {REST} y = Gemm(c, dense, tied)",
    )


def test_a_product_that_something_else_reads_keeps_its_sum() -> None:
    before = head(
        "p = MatMul(x, W) y = Add(p, bias) z = Relu(p)",
        inputs="(int64[n] ids, float[n, 5] x) => (float[n, 3] words, float[n, 7] y, float[n, 7] z)",
    )
    becomes(
        SplitTiedHead(),
        before,
        f"{SPLIT} tied = Gemm <transB = 1> (a, table) {REST} p = Gemm(c, W_dense, tied) y = Add(p, bias) z = Relu(p)",
    )


def test_a_product_that_is_an_output_keeps_its_sum() -> None:
    before = head("p = MatMul(x, W) y = Add(p, bias)", inputs=INPUTS.replace("=> (", "=> (float[n, 7] p, "))
    becomes(
        SplitTiedHead(),
        before,
        f"{SPLIT} tied = Gemm <transB = 1> (a, table) {REST} p = Gemm(c, W_dense, tied) y = Add(p, bias)",
    )


def test_what_is_no_sum_stays_what_it_is() -> None:
    becomes(
        SplitTiedHead(),
        head("p = MatMul(x, W) y = Mul(p, bias)"),
        f"{SPLIT} tied = Gemm <transB = 1> (a, table) {REST} p = Gemm(c, W_dense, tied) y = Mul(p, bias)",
    )


def test_a_sum_in_a_branch_stays_there() -> None:
    before = head(
        """p = MatMul(x, W) y = If (yes) <then_branch = t () => (float[n, 7] u) { u = Add(p, bias) },
        else_branch = e () => (float[n, 7] v) { v = Gemm(x, V) }>""",
        inputs="(int64[n] ids, float[n, 5] x, bool yes, float[5, 7] V) => (float[n, 3] words, float[n, 7] y)",
    )
    becomes(
        SplitTiedHead(),
        before,
        f"""{SPLIT} tied = Gemm <transB = 1> (a, table) {REST} p = Gemm(c, W_dense, tied)
        y = If (yes) <then_branch = t () => (float[n, 7] u) {{ u = Add(p, bias) }},
        else_branch = e () => (float[n, 7] v) {{ v = Gemm(x, V) }}>""",
    )


def test_one_other_number_is_another_weight() -> None:
    weights = HEAD.copy()
    weights[2, 6] = np.nextafter(weights[2, 6], np.float32(9))
    leaves_alone(SplitTiedHead(), head("p = MatMul(x, W) y = Add(p, bias)", weights))


def test_a_table_that_nothing_is_looked_up_in_is_none() -> None:
    before = graph(
        """(float[n, 5] x) => (float[n, 3] words, float[n, 7] y) <float[7, 3] table, float[5, 7] W>
        { y = MatMul(x, W) words = MatMul(y, table) }""",
        table=TABLE,
        W=HEAD,
    )
    leaves_alone(SplitTiedHead(), before)


def test_a_weight_that_is_turned_is_not_modified_and_is_reported() -> None:
    before = head(
        "y = Gemm <transB = 1> (x, W)",
        inputs="(int64[n] ids, float[n, 7] x) => (float[n, 3] words, float[n, 5] y)",
    )
    leaves_alone(SplitTiedHead(), before)
    step = SplitTiedHead()
    step(before)
    assert [miss.reason for miss in step.misses] == [PLAIN]


def test_a_head_of_the_table_alone_is_not_modified() -> None:
    before = head("y = MatMul(x, W)", TABLE.T.copy(), INPUTS.replace("float[n, 5]", "float[n, 3]"))
    leaves_alone(SplitTiedHead(), before)


def test_rows_below_the_dense_ones_are_not_modified() -> None:
    leaves_alone(SplitTiedHead(), head("y = MatMul(x, W)", np.concatenate([DENSE, TABLE.T])))


def test_another_type_is_not_modified() -> None:
    """A table in half precision, which the head has in full."""
    half = TABLE.astype(np.float16)
    before = graph(
        """(int64[n] ids, float[n, 5] x) => (float16[n, 3] words, float[n, 7] y) <float16[7, 3] table, float[5, 7] W>
        { words = Gather(table, ids) y = MatMul(x, W) }""",
        table=half,
        W=np.concatenate([half.T.astype(np.float32), DENSE]),
    )
    leaves_alone(SplitTiedHead(), before)


PLAIN = "the product with the word embeddings is not one of two matrices, as Gemm needs"


@pytest.mark.parametrize(
    ("nodes", "x"),
    [
        pytest.param("y = Gemm <alpha = 0.5> (x, W, bias)", "n, 5", id="alpha"),
        pytest.param("y = Gemm <beta = 0.5> (x, W, bias)", "n, 5", id="beta"),
        pytest.param("y = Gemm <transA = 1> (x, W, bias)", "5, n", id="transA"),
        pytest.param("p = MatMul(x, W) shape = Shape <start = 1> (p) y = Reshape(p, shape)", "1, n, 5", id="a stream"),
    ],
)
def test_products_that_gemm_does_not_take_are_not_modified_and_are_reported(nodes: str, x: str) -> None:
    before = head(nodes, inputs=INPUTS.replace("float[n, 5]", f"float[{x}]"))
    leaves_alone(SplitTiedHead(), before)
    step = SplitTiedHead()
    step(before)
    assert [miss.reason for miss in step.misses] == [PLAIN]


@pytest.mark.parametrize(
    "concat",
    [
        pytest.param("upper = Transpose <perm = [0, 1]> (table) W = Concat <axis = 0> (upper, dense)", id="not turned"),
        pytest.param("upper = Transpose(table) W = Concat <axis = 0> (dense, upper)", id="the other way round"),
        pytest.param("upper = Transpose(table) W = Concat <axis = 1> (upper, dense)", id="side by side"),
        pytest.param("upper = Transpose(table) W = Concat <axis = 0> (upper, upper)", id="twice"),
        pytest.param("upper = Transpose(other) W = Concat <axis = 0> (upper, dense)", id="another table"),
        pytest.param("upper = Transpose(table) W = Concat <axis = 0> (upper, dense, dense)", id="thrice"),
        pytest.param("upper = Transpose(table) r = Relu(dense) W = Concat <axis = 0> (upper, r)", id="computed"),
    ],
)
def test_other_weights_that_the_graph_puts_together_are_not_modified(concat: str) -> None:
    """All of 4 by 4, so that each could be read as another."""
    width = 4 if "axis = 1" in concat else 12 if "dense, dense" in concat else 8
    before = graph(f"""(int64[n] ids, float[n, {width}] x) => (float[n, 4] words, float[n, c] y)
        <float[4, 4] table, float[4, 4] other, float[4, 4] dense>
        {{ words = Gather(table, ids) {concat} y = MatMul(x, W) }}""")
    leaves_alone(SplitTiedHead(), before)


@pytest.mark.parametrize("bias", ["float[1, 7] bias", "float[1] bias", "float bias = {2.0}"])
def test_what_is_no_bias_stays_a_sum(bias: str) -> None:
    before = graph(
        f"""{INPUTS} <float[7, 3] table, float[5, 7] W, {bias}>
        {{ words = Gather(table, ids) p = MatMul(x, W) y = Add(p, bias) }}""",
        table=TABLE,
        W=HEAD,
    )
    becomes(
        SplitTiedHead(),
        before,
        f"{SPLIT} tied = Gemm <transB = 1> (a, table) {REST} p = Gemm(c, W_dense, tied) y = Add(p, bias)",
    )


def test_a_sum_that_makes_it_larger_stays_a_sum() -> None:
    """Of a vocabulary of one word, a vector makes rows as long as itself."""
    before = graph(
        """(float[n, 5] x) => (float[n, 3] words, float[n, 4] y)
        <float[1, 3] table, float[5, 1] W, float[4] bias>
        { size = Shape <end = 1> (x) ids = ConstantOfShape <value = int64[1] {0}> (size) words = Gather(table, ids)
          p = MatMul(x, W) y = Add(p, bias) }""",
        table=TABLE[:1],
        W=HEAD[:, :1],
    )
    becomes(
        SplitTiedHead(),
        before,
        f"""size = Shape <end = 1> (x) ids = ConstantOfShape <value = int64[1] {{0}}> (size) {SPLIT}
        tied = Gemm <transB = 1> (a, table) {REST} p = Gemm(c, W_dense, tied) y = Add(p, bias)""",
    )
