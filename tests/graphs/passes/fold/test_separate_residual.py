"""Phones take a Gemm with a constant third input only."""

from __future__ import annotations

import pytest
from graph_helpers import becomes, graph, leaves_alone

from graphs.passes.fold.separate_residual import SeparateResidual


def test_a_residual_stands_beside_its_gemm() -> None:
    before = graph("(float[n, 4] x, float[n, 3] u) => (float[n, 3] y) <float[4, 3] W> { y = Gemm(x, W, u) }")
    becomes(SeparateResidual(), before, "p = Gemm(x, W) y = Add(p, u)")


def test_other_attributes_stay() -> None:
    before = graph("""(float[4, n] x, float[n, 3] u) => (float[n, 3] y) <float[3, 4] W>
        { y = Gemm <alpha = 2.0, beta = 1.0, transA = 1, transB = 1> (x, W, u) }""")
    becomes(SeparateResidual(), before, "p = Gemm <alpha = 2.0, transA = 1, transB = 1> (x, W) y = Add(p, u)")


def test_a_chain_of_residuals() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 4] y) <float[4, 4] W, float[4, 4] V>
        { s = Gemm(x, W, x) y = Gemm(s, V, s) }""")
    becomes(SeparateResidual(), before, "p = Gemm(x, W) s = Add(p, x) q = Gemm(s, V) y = Add(q, s)")


@pytest.mark.parametrize("body", ["y = Gemm(x, W, b)", "y = Gemm(x, W)", "p = MatMul(x, W) y = Add(p, u)"])
def test_what_has_no_residual_is_not_modified(body: str) -> None:
    text = f"(float[n, 4] x, float[n, 3] u) => (float[n, 3] y) <float[4, 3] W, float[3] b> {{ {body} }}"
    leaves_alone(SeparateResidual(), graph(text))


def test_a_scaled_residual_is_not_modified_and_is_reported() -> None:
    step = SeparateResidual()
    text = "(float[n, 4] x, float[n, 3] u) => (float[n, 3] y) <float[4, 3] W> { y = Gemm <beta = 0.5> (x, W, u) }"
    leaves_alone(step, graph(text))
    assert "beta" in step.misses[0].reason
