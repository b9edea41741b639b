"""The scale of scores, moved to the query."""

from __future__ import annotations

import pytest
from graph_helpers import becomes, constant, graph, leaves_alone

from graphs.passes.fold.scale_query import ScaleQuery

INPUTS = "(float[b, s, 6] x) => (float[b, s, s] y)"
WEIGHTS = "<float[6, 4] Q, float[6, 4] K, float[4] bias, float{shape} root = {{4.0}}>"
PROJECTED = """k = MatMul(x, K) keys = Transpose <perm = [0, 2, 1]> (k) q0 = MatMul(x, Q) q = Add(q0, bias)"""


@pytest.mark.parametrize("shape", ["", "[1]", "[1, 1, 1]"])
@pytest.mark.parametrize(
    ("scaled", "expected"),
    [("Div(scores, root)", 0.25), ("Mul(scores, root)", 4), ("Mul(root, scores)", 4)],
)
def test_the_query_is_scaled(scaled: str, expected: float, shape: str) -> None:
    before = graph(
        f"{INPUTS} {WEIGHTS.format(shape=shape)} {{ {PROJECTED} scores = MatMul(q, keys) z = {scaled} y = Softmax(z) }}"
    )
    after = becomes(
        ScaleQuery(),
        before,
        f"{PROJECTED} scaled = Mul(q, query_scale) scores = MatMul(scaled, keys) y = Softmax(scores)",
    )
    assert constant(after, "query_scale").item() == expected


def test_scaled_scores_that_are_an_output_keep_their_name() -> None:
    weights = WEIGHTS.format(shape="")
    before = graph(f"{INPUTS} {weights} {{ {PROJECTED} scores = MatMul(q, keys) y = Div(scores, root) }}")
    becomes(ScaleQuery(), before, f"{PROJECTED} scaled = Mul(q, query_scale) y = MatMul(scaled, keys)")


def test_a_query_in_heads_is_a_query() -> None:
    before = graph("""(float[b, s, 8] x) => (float[b, 2, s, s] y)
        <float[8, 8] Q, float[8, 8] K, float root = {4.0}, int64[4] heads = {0, 0, 2, 4}>
        { k0 = MatMul(x, K) k1 = Reshape(k0, heads) k = Transpose <perm = [0, 2, 3, 1]> (k1)
          q0 = MatMul(x, Q) q1 = Reshape(q0, heads) q = Transpose <perm = [0, 2, 1, 3]> (q1)
          scores = MatMul(q, k) y = Div(scores, root) }""")
    becomes(
        ScaleQuery(),
        before,
        """k0 = MatMul(x, K) k1 = Reshape(k0, heads) k = Transpose <perm = [0, 2, 3, 1]> (k1)
        q0 = MatMul(x, Q) q1 = Reshape(q0, heads) q = Transpose <perm = [0, 2, 1, 3]> (q1)
        scaled = Mul(q, query_scale) y = MatMul(scaled, k)""",
    )


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param("scores = MatMul(q, keys) y = Div(root, scores)", id="a reciprocal"),
        pytest.param("scores = MatMul(q, keys) y = Mul(scores, row)", id="a number for each column"),
        pytest.param("scores = MatMul(q, keys) y = Mul(scores, given)", id="a number that an input gives"),
        pytest.param("scores = MatMul(q, keys) y = Mul(scores, scores)", id="a square"),
        pytest.param("scores = MatMul(q, keys) r = Relu(scores) z = Div(scores, root) y = Add(z, r)", id="two readers"),
        pytest.param("p = Softmax(x) scores = MatMul(p, turned) y = Div(scores, root)", id="no query"),
        pytest.param("q2 = Mul(q, k) scores = MatMul(q2, keys) y = Div(scores, root)", id="a gated query"),
        pytest.param("scores = Add(turned, turned) z = Div(scores, root) y = MatMul(x, z)", id="a sum"),
    ],
)
def test_other_products_are_not_modified(nodes: str) -> None:
    before = graph(f"""(float[b, 5, 6] x, float given) => (float[b, 5, 5] y)
        <float[6, 4] Q, float[6, 4] K, float[4] bias, float root = {{4.0}}, float[5] row>
        {{ {PROJECTED} turned = Transpose <perm = [0, 2, 1]> (x) {nodes} }}""")
    leaves_alone(ScaleQuery(), before)


def test_scores_that_are_an_output_are_not_modified() -> None:
    before = graph(f"""(float[b, s, 6] x) => (float[b, s, s] y, float[b, s, s] scores) {WEIGHTS.format(shape="")}
        {{ {PROJECTED} scores = MatMul(q, keys) y = Div(scores, root) }}""")
    leaves_alone(ScaleQuery(), before)


def test_scores_that_a_branch_reads_are_not_modified() -> None:
    before = graph(f"""(float[b, s, 6] x, bool yes) => (float[b, s, s] y) {WEIGHTS.format(shape="")}
        {{ {PROJECTED} scores = MatMul(q, keys) z = Div(scores, root)
           y = If (yes) <then_branch = t () => (float[b, s, s] u) {{ u = Relu(scores) }},
               else_branch = e () => (float[b, s, s] v) {{ v = Relu(z) }}> }}""")
    leaves_alone(ScaleQuery(), before)


def test_a_division_by_0_is_not_modified() -> None:
    before = graph(f"""{INPUTS} <float[6, 4] Q, float[6, 4] K, float[4] bias, float none = {{0.0}}>
        {{ {PROJECTED} scores = MatMul(q, keys) y = Div(scores, none) }}""")
    leaves_alone(ScaleQuery(), before)


def test_a_product_without_a_query_is_reported() -> None:
    step = ScaleQuery()
    model = graph("""(float[b, 5, 6] x) => (float[b, 5, 5] y) <float root = {4.0}>
        { p = Softmax(x) turned = Transpose <perm = [0, 2, 1]> (x) scores = MatMul(p, turned)
          y = Div(scores, root) }""")
    assert not step(model).modified
    assert [miss.reason for miss in step.misses] == [
        "the left-hand side of the product is not the query of a linear layer with constant weights"
    ]


def test_a_linear_layer_is_left_to_others() -> None:
    before = graph("""(float[b, s, 6] x) => (float[b, s, 4] y) <float[6, 4] W, float root = {4.0}>
        { p = MatMul(x, W) y = Div(p, root) }""")
    leaves_alone(ScaleQuery(), before)


def test_a_scale_of_more_dimensions_than_the_scores_is_not_modified() -> None:
    before = graph("""(float[5, 6] x) => (float[1, 5, 5] y) <float[6, 4] Q, float[6, 4] K, float[1, 1, 1] root = {4.0}>
        { q = MatMul(x, Q) k = MatMul(x, K) keys = Transpose(k) scores = MatMul(q, keys) y = Div(scores, root) }""")
    leaves_alone(ScaleQuery(), before)


def test_integers_are_not_modified() -> None:
    before = graph("""(int32[5, 6] x) => (int32[5, 5] y) <int32 two = {2}>
        { t = Transpose(x) p = MatMul(x, t) y = Div(p, two) }""")
    leaves_alone(ScaleQuery(), before)
