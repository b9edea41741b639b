"""The guard against NaN after softmax."""

from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import Arrays, Text, becomes, graph, leaves_alone

from graphs.passes.canonicalize.remove_nan_guard import RemoveNanGuard

HALF = float(np.finfo(np.float32).min) / 2

# What simplify-mask leaves, and torch's guard.
GUARDED = Text(f"""(float[b, 2, s, 4] q, float[b, 2, 4, s] k, int64[b, s] mask) => (float[b, 2, s, s] y)
    <float one = {{1.0}}, float padding = {{{HALF!r}}}, int64[2] axes = {{1, 2}}, float zero = {{0.0}},
     float root = {{2.0}}>
    {{ real = Cast <to = 1> (mask) wide = Unsqueeze(real, axes) padded = Sub(one, wide) bias = Mul(padded, padding)
       scores = MatMul(q, k) masked = Add(scores, bias) p = Softmax(masked) bad = IsNaN(p) w = Where(bad, zero, p)
       y = Relu(w) }}""")
MASK = (
    """real = Cast <to = 1> (mask) wide = Unsqueeze(real, axes) padded = Sub(one, wide) bias = Mul(padded, padding)"""
)


def feed() -> Arrays:
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(3, 2, 5, 4)), rng.normal(size=(3, 2, 4, 5))
    mask = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]])
    return {"q": q.astype(np.float32), "k": k.astype(np.float32), "mask": mask}


def test_the_nan_guard_after_a_finite_mask_is_removed() -> None:
    becomes(
        RemoveNanGuard(),
        graph(GUARDED),
        f"{MASK} scores = MatMul(q, k) masked = Add(scores, bias) p = Softmax(masked) y = Relu(p)",
        feed(),
    )


@pytest.mark.parametrize("scaled", ["Div(product, root)", "Mul(root, product)"])
def test_scores_may_be_scaled(scaled: str) -> None:
    before = graph(GUARDED.replace("scores = MatMul(q, k)", f"product = MatMul(q, k) scores = {scaled}"))
    becomes(
        RemoveNanGuard(),
        before,
        f"""{MASK} product = MatMul(q, k) scores = {scaled} masked = Add(scores, bias) p = Softmax(masked)
        y = Relu(p)""",
        feed(),
    )


def test_a_guard_that_is_an_output_gives_softmax_its_name() -> None:
    before = graph(GUARDED.replace("w = Where(bad, zero, p)", "y = Where(bad, zero, p)").replace("y = Relu(w)", ""))
    becomes(
        RemoveNanGuard(),
        before,
        f"{MASK} scores = MatMul(q, k) masked = Add(scores, bias) y = Softmax(masked)",
        feed(),
    )


def test_probabilities_that_are_an_output_are_read_at_once() -> None:
    before = graph(GUARDED.replace("=> (", "=> (float[b, 2, s, s] p, "))
    becomes(
        RemoveNanGuard(),
        before,
        f"{MASK} scores = MatMul(q, k) masked = Add(scores, bias) p = Softmax(masked) y = Relu(p)",
        feed(),
    )


def test_two_outputs_stay_two() -> None:
    written = GUARDED.replace("w = Where(bad, zero, p)", "y = Where(bad, zero, p)").replace("y = Relu(w)", "")
    leaves_alone(RemoveNanGuard(), graph(written.replace("=> (", "=> (float[b, 2, s, s] p, ")))


def test_whether_it_is_nan_may_be_read_elsewhere() -> None:
    before = graph(GUARDED.replace("=> (", "=> (bool[b, 2, s, s] bad, "))
    becomes(
        RemoveNanGuard(),
        before,
        f"{MASK} scores = MatMul(q, k) masked = Add(scores, bias) p = Softmax(masked) bad = IsNaN(p) y = Relu(p)",
        feed(),
    )


NOT_FINITE = ["the mask before it may be −inf; expected one that simplify-mask has made finite"]


@pytest.mark.parametrize(
    ("old", "new", "reasons"),
    [
        pytest.param("Sub(one, wide)", "Sub(padding, wide)", NOT_FINITE, id="another mask"),
        pytest.param("Mul(padded, padding)", "Mul(padded, root)", NOT_FINITE, id="another factor"),
        pytest.param("Add(scores, bias)", "Sub(scores, bias)", NOT_FINITE, id="a difference"),
        pytest.param("Add(scores, bias)", "Add(scores, scores)", NOT_FINITE, id="no mask"),
        pytest.param("scores = MatMul(q, k)", "s0 = MatMul(q, k) scores = Log(s0)", NOT_FINITE, id="no product"),
        pytest.param("scores = MatMul(q, k)", "s0 = MatMul(q, k) scores = Add(s0, s0)", NOT_FINITE, id="two masks"),
        pytest.param("Where(bad, zero, p)", "Where(bad, one, p)", [], id="another number"),
        pytest.param("Where(bad, zero, p)", "Where(bad, p, zero)", [], id="the other way round"),
        pytest.param("Where(bad, zero, p)", "Where(bad, zero, scores)", [], id="of something else"),
        pytest.param("IsNaN(p)", "IsInf(p)", [], id="infinity"),
        pytest.param("p = Softmax(masked)", "p0 = Softmax(masked) p = Log(p0)", [], id="no softmax"),
        pytest.param("Softmax(masked)", "Softmax <axis = 2> (masked)", NOT_FINITE, id="another axis"),
    ],
)
def test_other_guards_are_not_modified(old: str, new: str, reasons: list[str]) -> None:
    before = graph(GUARDED.replace(old, new))
    leaves_alone(RemoveNanGuard(), before)
    step = RemoveNanGuard()
    step(before)
    assert [miss.reason for miss in step.misses] == reasons


def test_zeros_that_make_it_larger_are_not_modified() -> None:
    written = GUARDED.replace("float zero = {0.0}", "float[3, 1, 1, 1, 1] zero")
    before = graph(written.replace("=> (float[b, 2", "=> (float[c, b, 2"), zero=np.zeros((3, 1, 1, 1, 1)))
    leaves_alone(RemoveNanGuard(), before)


def test_a_mask_in_floating_point_may_be_anything() -> None:
    written = GUARDED.replace("int64[b, s] mask", "float[b, s] mask")
    leaves_alone(RemoveNanGuard(), graph(written.replace("real = Cast <to = 1> (mask)", "real = Identity(mask)")))
