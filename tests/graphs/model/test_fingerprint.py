"""Fingerprint of a graph, which ignores the names and the order of its nodes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import LAYER, graph

from graphs.model.fingerprint import signature

TEXT = """(float[n, 4] x, float[n, 4] z) => (float[n, 3] y)
    <float[4, 3] W, float[3] b> { s = Add(x, z) r = Relu(s) m = MatMul(r, W) y = Add(m, b) }"""

LOOP = """(float[2] x, float[2] c, int64 count, bool go) => (float[2] y)
    <float[2] W>
    {
        before = Add(x, W)
        y = Loop (count, go, x) <body = loop (int64 i, bool on, float[2] carried) => (bool still, float[2] next)
            { still = Identity(on) next = Add(carried, before) }>
    }"""


def changed(text: str, *changes: tuple[str, str]) -> ir.Model:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return graph(text)


# No two constants of a text are equal: they are drawn by name.
SAME = {
    "another name": [("s = Add", "q = Add"), ("Relu(s)", "Relu(q)")],
    "a constant that nothing reads": [("float[3] b", "float[3] b, float[3] c")],
    "a node that nothing reads": [("r = Relu(s)", "r = Relu(s) unread = Neg(s)")],
}


@pytest.mark.parametrize("case", SAME)
def test_differences_that_do_not_count(case: str) -> None:
    assert signature(changed(TEXT, *SAME[case])) == signature(graph(TEXT))


OTHER = {
    "another operator": [("Relu(s)", "Abs(s)")],
    "inputs in the other order": [("Add(x, z)", "Add(z, x)")],
    "an input read twice": [("Add(x, z)", "Add(x, x)")],
    "an attribute": [("Relu(s)", "LeakyRelu <alpha = 0.5> (s)")],
    "the value of an attribute": [("Relu(s)", "LeakyRelu <alpha = 0.25> (s)")],
    "another constant": [("Add(m, b)", "Add(m, c)"), ("float[3] b", "float[3] c")],
    "the shape of a constant": [("float[3] b", "float[1, 3] b")],
    "the name of an output": [("y)", "w)"), ("y =", "w =")],
    "the name of an input": [("x,", "w,")],
    "the shape of an input": [("float[n, 4] x", "float[2, 4] x")],
    "another output": [("(float[n, 3] y)", "(float[n, 3] y, float[n, 4] r)")],
}


def test_differences_that_count() -> None:
    found = {case: signature(changed(TEXT, *OTHER[case])) for case in OTHER}
    assert len({signature(graph(TEXT)), *found.values()}) == len(OTHER) + 1


def test_the_order_of_nodes_does_not_count() -> None:
    one = "(float[n] x) => (float[n] y) { a = Relu(x) b = Neg(x) y = Add(a, b) }"
    other = "(float[n] x) => (float[n] y) { b = Neg(x) a = Relu(x) y = Add(a, b) }"
    assert signature(graph(one)) == signature(graph(other))


def test_the_order_of_outputs_counts() -> None:
    body = "{ a = Relu(x) b = Neg(x) }"
    one, other = "(float[n] x) => (float[n] a, float[n] b)", "(float[n] x) => (float[n] b, float[n] a)"
    assert signature(graph(one + body)) != signature(graph(other + body))


def test_which_output_of_a_node_is_read_counts() -> None:
    text = "(float[n, 4] x) => (float[n, 2] y) { a, b = Split <axis = 1, num_outputs = 2> (x) y = Relu(a) }"
    assert signature(graph(text)) != signature(changed(text, ("Relu(a)", "Relu(b)")))


def test_a_missing_input_is_not_the_next_one() -> None:
    text = "(float[n] x, float m) => (float[n] y) { y = Clip(x, m) }"
    assert signature(graph(text)) != signature(changed(text, ("Clip(x, m)", 'Clip(x, "", m)')))


def test_a_constant_node_is_as_good_as_an_initializer() -> None:
    text = "(float[n] x) => (float[n] y) <float[2] c = {1, 2}> { y = Add(x, c) }"
    node = "(float[n] x) => (float[n] y) { c = Constant <value = float[2] {1, 2}> () y = Add(x, c) }"
    assert signature(graph(text, c=np.array([1, 2]))) == signature(graph(node))


def test_the_type_of_a_constant_counts_though_its_bytes_are_the_same() -> None:
    text = "(float[n] x) => (int32[1] y) <int32[1] c = {0}> { y = Identity(c) }"
    one = graph(text)
    other = one.clone()
    value = other.graph.initializers["c"]
    value.const_value = ir.tensor(np.zeros(1, np.float32), name="c")
    assert signature(one) != signature(other)


def test_the_value_that_an_input_has_by_default_counts() -> None:
    def model(number: float) -> ir.Model:
        found = graph("(float[1] x, float[1] c) => (float[1] y) { y = Add(x, c) }")
        c = found.graph.inputs[1]
        c.const_value = ir.tensor(np.array([number], np.float32), name="c")
        found.graph.initializers["c"] = c
        return found

    assert signature(model(1)) == signature(model(1)) != signature(model(2))


def test_opsets_and_functions_count() -> None:
    other = graph(TEXT)
    other.opset_imports["mbert"] = 1
    assert signature(other) != signature(graph(TEXT))


IN_BODIES = {
    "an operator": [("next = Add(", "next = Sub(")],
    "what is read from outside": [("next = Add(carried, before)", "next = Add(carried, c)")],
    "how that is computed": [("before = Add(x, W)", "before = Mul(x, W)")],
    "which input of the body is read": [("still = Identity(on)", "even = Cast <to = 9> (i) still = Identity(even)")],
}


@pytest.mark.parametrize("case", IN_BODIES)
def test_bodies_count(case: str) -> None:
    assert signature(changed(LOOP, *IN_BODIES[case])) != signature(graph(LOOP))


def test_names_in_bodies_do_not_count() -> None:
    other = changed(LOOP, ("carried", "state"), ("next", "new"), ("before", "first"))
    assert signature(other) == signature(graph(LOOP))


def test_branches_are_not_each_other() -> None:
    text = """(float[n] x, bool c) => (float[n] y)
        { y = If (c) <then_branch = g () => (float[n] a) { a = Relu(x) },
                      else_branch = h () => (float[n] b) { b = Neg(x) }> }"""
    other = changed(text, ("Relu", "Abs"), ("Neg", "Relu"), ("Abs", "Neg"))
    assert signature(graph(text)) != signature(other)


def test_inputs_of_bodies_within_bodies_are_distinguished() -> None:
    inner = "inner (int64 j, bool w, float[2] u) => (bool v, float[2] t) { v = Identity(w) t = Add(carried, u) }"
    text = LOOP.replace("next = Add(carried, before)", f"next = Loop (count, on, before) <body = {inner}>")
    other = changed(text, ("t = Add(carried, u)", "t = Add(u, carried)"))
    assert signature(graph(text)) != signature(other)


def test_a_deep_graph_does_not_exceed_the_recursion_limit() -> None:
    lines = " ".join(f"v{i + 1} = Relu(v{i})" for i in range(3000))
    text = f"(float[n] v0) => (float[n] v3000) {{ {lines} }}"
    assert signature(graph(text)) == signature(graph(text))


def test_the_model_is_not_modified() -> None:
    model = graph(LAYER)
    before = ir.to_proto(model)
    signature(model)
    assert ir.to_proto(model) == before
