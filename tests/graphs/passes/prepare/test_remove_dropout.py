"""Dropout is removed, in training mode, too, except where its mask is read or its mode is not known."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import becomes, graph, leaves_alone, run

from graphs.passes.prepare.remove_dropout import RemoveDropout

LIVE = """(float[n, 4] x) => (float[n, 4] y) <float ratio = {0.5}, bool on = {1}>
    { a = Neg(x) d = Dropout(a, ratio, on) y = Neg(d) }"""


def test_live_dropout_is_removed_and_reported() -> None:
    step = RemoveDropout()
    becomes(step, graph(LIVE), "a = Neg(x) y = Neg(a)", exact=False)
    step(graph(LIVE))
    (note,) = step.notes
    assert "exported in training mode: 1 live Dropout nodes" in note


@pytest.mark.parametrize("inputs", ["a", "a, ratio", "a, ratio, on"])
def test_dropout_that_is_off_is_removed_without_a_note(inputs: str) -> None:
    text = LIVE.replace("Dropout(a, ratio, on)", f"Dropout({inputs})").replace("{1}", "{0}")
    step = RemoveDropout()
    becomes(step, graph(text), "a = Neg(x) y = Neg(a)")
    step(graph(text))
    assert not step.notes


def test_the_ratio_of_older_opsets_is_an_attribute() -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 7, opset_import: ["" : 11]> g (float[n] x) => (float[n] y) '
        "{ a = Neg(x) d = Dropout <ratio = 0.5> (a) y = Neg(d) }"
    )
    model = ir.from_proto(proto)
    assert RemoveDropout()(model).modified
    assert [node.op_type for node in model.graph] == ["Neg", "Neg"]


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("{ a = Neg(x) y = Dropout(a, ratio, on) }", "y = Neg(x)"),
        ("{ d = Dropout(x, ratio, on) y = Neg(d) }", "y = Neg(x)"),
        ("{ y = Dropout(x, ratio, on) }", "y = Identity(x)"),  # both names stay
        ("{ a = Neg(x) d, m = Dropout(a, ratio, on) y = Neg(d) }", "a = Neg(x) y = Neg(a)"),
        ("{ d = Dropout(x, ratio, on) e = Dropout(d, ratio, on) y = Neg(e) }", "y = Neg(x)"),
    ],
)
def test_names_of_inputs_and_outputs_stay(text: str, body: str) -> None:
    header = LIVE[: LIVE.index("{ a")]
    becomes(RemoveDropout(), graph(header + text), body, exact=False)


def test_two_outputs_stay_two() -> None:
    text = """(float[n, 4] x) => (float[n, 4] a, float[n, 4] y) <float ratio = {0.5}, bool on = {1}>
        { a = Neg(x) y = Dropout(a, ratio, on) }"""
    becomes(RemoveDropout(), graph(text), "a = Neg(x) y = Identity(a)", exact=False)


def test_dropout_in_a_branch_is_removed() -> None:
    text = """(float[n, 2] x, bool c) => (float[n, 2] y) <float ratio = {0.5}, bool on = {1}>
        { y = If (c) <
            then_branch = g () => (float[n, 2] a) { p = Neg(x) a = Dropout(p, ratio, on) },
            else_branch = h () => (float[n, 2] b) { b = Dropout(x, ratio, on) }> }"""
    model = graph(text)
    assert RemoveDropout()(model).modified
    x = np.ones((3, 2), np.float32)
    for c in (True, False):
        np.testing.assert_array_equal(run(model, {"x": x, "c": np.array(c)})["y"], -x if c else x)


def test_dropout_in_a_function_is_removed() -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 18, "them" : 1]> g (float[n] x) => (float[n] y) { y = them.Drop(x) } '
        '<domain: "them", opset_import: ["" : 18]> Drop (v) => (r) '
        "{ ratio = Constant <value_float = 0.5> () on = Constant <value = bool {1}> () r = Dropout(v, ratio, on) }"
    )
    model = ir.from_proto(proto)
    assert RemoveDropout()(model).modified
    x = np.ones(64, np.float32)
    np.testing.assert_array_equal(run(model, {"x": x})["y"], x)


IF = """y = If (FLAG) <then_branch = g () => (float[n, 4] a) { a = RandomNormalLike(x) },
                       else_branch = h () => (float[n, 4] b) { b = Neg(x) }>"""


@pytest.mark.parametrize(
    ("flag", "body"),
    [
        ("on", "d = Dropout(x, ratio, FLAG) y = Neg(d)"),
        ("training", "d, m = Dropout(x, ratio, FLAG) y = Neg(d)"),
        ("is_training", "a = RandomNormalLike(x) b = Neg(x) y = Where(FLAG, a, b)"),
        ("keras_learning_phase", IF),
        ("serving_default_training:0", IF),
        ("bert/Training_1:0", IF),
    ],
)
def test_an_input_that_switches_training_mode_is_read_as_false(flag: str, body: str) -> None:
    text = f"(float[n, 4] x, bool FLAG) => (float[n, 4] y) <float ratio = {{0.5}}> {{ {body} }}"
    model, step = graph(text), RemoveDropout()
    model.graph.inputs[1].name = flag
    assert step(model).modified
    assert step.notes == [
        f"the input {flag} switches training mode: it is taken as false, as at inference, and the result ignores it"
    ]
    assert [value.name for value in model.graph.inputs] == ["x", flag]  # programs feed it
    x = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(run(model, {"x": x, flag: np.array(True)})["y"], -x)
    assert not step(model).modified


@pytest.mark.parametrize("flag", ["bool[n, 4] training", "bool flag", "bool constrain"])
def test_other_inputs_are_no_training_mode(flag: str) -> None:
    name = flag.split()[-1]
    text = f"(float[n, 4] x, {flag}) => (float[n, 4] y) {{ a = Neg(x) y = Where({name}, a, x) }}"
    leaves_alone(RemoveDropout(), graph(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            """(float[n, 4] x) => (float[n, 4] y, bool[n, 4] m) <float ratio = {0.5}, bool on = {1}>
            { y, m = Dropout(x, ratio, on) }""",
            "its mask is read",
        ),
        (
            """(float[n, 4] x, float p) => (float[n, 4] y) <float ratio = {0.5}>
            { on = Greater(p, ratio) y = Dropout(x, ratio, on) }""",
            "its training_mode is computed; expected a constant or an input",
        ),
    ],
)
def test_what_is_left_alone(text: str, reason: str) -> None:
    step = RemoveDropout()
    leaves_alone(step, graph(text))
    step(graph(text))
    assert [reason in miss.reason for miss in step.misses] == [True]


def test_a_graph_without_dropout_is_left_alone() -> None:
    leaves_alone(RemoveDropout(), graph("(float[n, 4] x) => (float[n, 4] y) { y = Neg(x) }"))
