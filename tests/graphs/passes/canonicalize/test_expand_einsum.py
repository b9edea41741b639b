"""Products that Keras writes as Einsum."""

from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import becomes, constant, graph, leaves_alone

from graphs.passes.canonicalize.expand_einsum import ExpandEinsum


def einsum(equation: str, left: str, right: str, result: str, weight: str = "") -> str:
    """A graph of one Einsum; `weight` is `x` or `w` if that operand is constant."""
    inputs = {"x": left, "w": right}
    constants = f"<float[{inputs.pop(weight)}] {weight}>" if weight else ""
    given = ", ".join(f"float[{shape}] {name}" for name, shape in inputs.items())
    return f'({given}) => (float[{result}] y) {constants} {{ y = Einsum <equation = "{equation}"> (x, w) }}'


WITH_WEIGHT = [
    ("abc,cd->abd", "b, s, 6", "6, 4", "b, s, 4", "y = MatMul(x, w)"),
    ("abc, cd -> abd", "b, s, 6", "6, 4", "b, s, 4", "y = MatMul(x, w)"),
    ("abc,dc->abd", "b, s, 6", "4, 6", "b, s, 4", "y = MatMul(x, w_matrix)"),
    ("abc,cde->abde", "b, s, 6", "6, 2, 4", "b, s, 2, 4", "m = MatMul(x, w_matrix) y = Reshape(m, einsum_sizes)"),
    ("abc,dce->abde", "b, s, 6", "2, 6, 4", "b, s, 2, 4", "m = MatMul(x, w_matrix) y = Reshape(m, einsum_sizes)"),
    ("abcd,cde->abe", "b, s, 2, 3", "2, 3, 5", "b, s, 5", "m = Reshape(x, einsum_sizes) y = MatMul(m, w_matrix)"),
    ("nh,hk->nk", "n, 6", "6, 4", "n, 4", "y = MatMul(x, w)"),
]


@pytest.mark.parametrize(("equation", "left", "right", "result", "body"), WITH_WEIGHT)
def test_a_product_with_a_weight(equation: str, left: str, right: str, result: str, body: str) -> None:
    becomes(ExpandEinsum(), graph(einsum(equation, left, right, result, "w")), body)


def test_the_weight_may_be_the_first_operand() -> None:
    text = einsum("cd,abc->abd", "6, 4", "b, s, 6", "b, s, 4", "x")
    becomes(ExpandEinsum(), graph(text), "y = MatMul(w, x)")


def test_the_sizes_of_heads_are_those_of_the_weight() -> None:
    before = graph(einsum("abc,cde->abde", "b, s, 6", "6, 2, 4", "b, s, 2, 4", "w"))
    after = before.clone()
    ExpandEinsum()(after)
    assert constant(after, "einsum_sizes").tolist() == [0, 0, 2, 4]
    np.testing.assert_array_equal(constant(after, "w.matrix"), constant(before, "w").reshape(6, 8))


@pytest.mark.parametrize(
    ("equation", "left", "right", "result", "body"),
    [
        # Keras's scores, of keys and queries, and what attention makes of the values.
        ("aecd,abcd->acbe", "b, t, 2, 4", "b, s, 2, 4", "b, 2, s, t",
         "q = Transpose <perm = [0, 2, 1, 3]> (w) k = Transpose <perm = [0, 2, 3, 1]> (x) y = MatMul(q, k)"),
        ("acbe,aecd->abcd", "b, 2, s, t", "b, t, 2, 4", "b, s, 2, 4",
         "v = Transpose <perm = [0, 2, 1, 3]> (w) p = MatMul(x, v) y = Transpose <perm = [0, 2, 1, 3]> (p)"),
        ("abcd,abed->abce", "b, 2, s, 4", "b, 2, t, 4", "b, 2, s, t",
         "k = Transpose <perm = [0, 1, 3, 2]> (w) y = MatMul(x, k)"),
        ("abcd,abde->abce", "b, 2, s, 4", "b, 2, 4, t", "b, 2, s, t", "y = MatMul(x, w)"),
    ],
)  # fmt: skip
def test_a_product_of_activations(equation: str, left: str, right: str, result: str, body: str) -> None:
    rng = np.random.default_rng(0)
    sizes = {"b": 2, "s": 3, "t": 5}
    shapes = [[sizes.get(dim, dim) for dim in text.split(", ")] for text in (left, right)]
    arrays = [rng.normal(size=[int(n) for n in shape]).astype(np.float32) for shape in shapes]
    becomes(ExpandEinsum(), graph(einsum(equation, left, right, result)), body, dict(zip("xw", arrays, strict=True)))


@pytest.mark.parametrize(
    ("equation", "left", "right", "result", "weight"),
    [
        pytest.param("abc,bcd->abd", "b, 3, 6", "3, 6, 4", "b, 3, 4", "w", id="a weight for each token"),
        pytest.param("abc,bd->acd", "b, 3, 6", "3, 4", "b, 6, 4", "w", id="a sum over tokens"),
        pytest.param("abc,cd->dab", "b, s, 6", "6, 4", "4, b, s", "w", id="the result turned"),
        pytest.param("abc,cd->ab", "b, s, 6", "6, 4", "b, s", "w", id="a label of one operand summed over"),
        pytest.param("ab,cd->abcd", "b, s", "6, 4", "b, s, 6, 4", "w", id="nothing summed over"),
        pytest.param("...c,cd->...d", "b, s, 6", "6, 4", "b, s, 4", "w", id="an ellipsis"),
        pytest.param("aa,ab->ab", "4, 4", "4, 6", "4, 6", "w", id="a diagonal"),
        pytest.param("abcd,acde->abe", "b, s, 2, 4", "b, 2, 4, t", "b, s, t", "", id="two labels summed over"),
    ],
)
def test_others_are_not_modified(equation: str, left: str, right: str, result: str, weight: str) -> None:
    step = ExpandEinsum()
    leaves_alone(step, graph(einsum(equation, left, right, result, weight)))
    after = graph(einsum(equation, left, right, result, weight))
    step(after)
    assert [miss.reason.split()[-1] for miss in step.misses] in (["matrices"], ["only"])
