"""Passes of a lower precision: which products are computed in 8 bits."""

from __future__ import annotations

import pytest
from graph_helpers import graph

from graphs.ir.linear import as_linear
from graphs.lowering.pass_factory import Lowering

POOLER = "g = Gather <axis = 1> (x, first) y = MatMul(g, W)"
TOKENS = "y = MatMul(x, W)"


@pytest.mark.parametrize(
    ("body", "target", "expected"),
    [(POOLER, "cpu", False), (POOLER, "web", False), (POOLER, "mobile", True), (TOKENS, "cpu", True)],
)
def test_a_pooler_has_8_bits_only_where_steps_are_constants(body: str, target: str, expected: bool) -> None:
    model = graph(f"(float[n, k, 40] x) => (float[] y) <int64 first = {{0}}, float[40, 33] W> {{ {body} }}")
    linear = as_linear(list(model.graph)[-1])
    assert linear is not None
    assert Lowering("int8", target, []).wanted(linear) is expected
