"""Layer normalisation that was written out, as one operator."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, becomes, graph, leaves_alone, run

from graphs.passes.canonicalize.fuse_layer_norm import FuseLayerNorm

TEXT = """(float[b, s, 4] x) => (float[b, s, 4] y)
    <int64[1] last = {-1}, float two = {2}, float eps = {0.001}, float[4] gamma, float[4] beta>
    {
        mean = ReduceMean(x, last)
        deviation = Sub(x, mean)
        squares = Pow(deviation, two)
        variance = ReduceMean(squares, last)
        shifted = Add(variance, eps)
        root = Sqrt(shifted)
        normal = Div(deviation, root)
        scaled = Mul(normal, gamma)
        y = Add(scaled, beta)
    }"""
FUSED = "y = LayerNormalization <axis = -1, epsilon = 0.0010000000474974513> (x, gamma, beta)"


def written(*changes: tuple[str, str]) -> ir.Model:
    """The layer norm, with pieces of its text replaced by others."""
    text = TEXT
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    model = graph(text)
    for node in model.graph:
        node.name = f"the {node.outputs[0].name}"
    return model


def test_what_is_written_out_becomes_one_operator() -> None:
    step = FuseLayerNorm()
    becomes(step, written(), FUSED)
    assert (step.matches, step.misses) == (1, [])


def test_scale_and_shift_may_stand_on_the_left() -> None:
    changes = [("Mul(normal, gamma)", "Mul(gamma, normal)"), ("Add(scaled, beta)", "Add(beta, scaled)")]
    becomes(FuseLayerNorm(), written(*changes, ("Add(variance, eps)", "Add(eps, variance)")), FUSED)


def test_it_computes_what_the_definition_says() -> None:
    after = written()
    FuseLayerNorm()(after)
    feed: Arrays = {"x": np.array([[[1, 3, 5, 7]]], np.float32)}
    # Mean 4, variance 5.
    normal = np.array([-3, -1, 1, 3]) / np.sqrt(5.001)
    tensors = {name: after.graph.initializers[name].const_value for name in ("gamma", "beta")}
    gamma, beta = (tensor.numpy() for tensor in tensors.values() if tensor is not None)
    np.testing.assert_allclose(run(after, feed)["y"][0, 0], normal * gamma + beta, rtol=1e-5)


def test_every_one_of_several_is_fused() -> None:
    twice = TEXT.replace("=> (float[b, s, 4] y)", "=> (float[b, s, 4] z)").replace(
        "        y = Add(scaled, beta)\n    }",
        """y = Add(scaled, beta) h = Relu(y)
        mean2 = ReduceMean(h, last) deviation2 = Sub(h, mean2) squares2 = Pow(deviation2, two)
        variance2 = ReduceMean(squares2, last) shifted2 = Add(variance2, eps) root2 = Sqrt(shifted2)
        normal2 = Div(deviation2, root2) scaled2 = Mul(normal2, gamma) z = Add(scaled2, beta) }""",
    )
    step = FuseLayerNorm()
    attributes = "<axis = -1, epsilon = 0.0010000000474974513>"
    body = f"{FUSED} h = Relu(y) z = LayerNormalization {attributes} (h, gamma, beta)"
    becomes(step, graph(twice), body)
    assert step.matches == 2


# What is changed in the text, the node that is named, and the reason.
TOLD = {
    "cubes": ([("two = {2}", "two = {3}")], "the mean (ReduceMean)", "deviations are not squared"),
    "a mean that is not kept": (
        [("mean = ReduceMean(x, last)", "mean = ReduceMean <keepdims = 0> (x, last)"),
         ("(float[b, s, 4] x) => (float[b, s, 4] y)", "(float[4, 4, 4] x) => (float[4, 4, 4] y)")],
        "the mean (ReduceMean)",
        "it does not keep the dimension that it reduces",
    ),
    "a variance that is not kept": (
        [("variance = ReduceMean(squares, last)", "variance = ReduceMean <keepdims = 0> (squares, last)"),
         ("(float[b, s, 4] x) => (float[b, s, 4] y)", "(float[4, 4, 4] x) => (float[4, 4, 4] y)")],
        "the variance (ReduceMean)",
        "it does not keep the dimension that it reduces",
    ),
    "an epsilon for every channel": (
        [("float eps = {0.001}", "float[4] eps = {0.1, 0.2, 0.3, 0.4}")],
        "the mean (ReduceMean)",
        "the number added to the variance is not one constant",
    ),
    "a scale of one number": (
        [("float[4] gamma", "float[1] gamma")],
        "the mean (ReduceMean)",
        "γ is not constant, with one number for each of 4 channels",
    ),
    "a shift that is an input": (
        [("(float[b, s, 4] x)", "(float[b, s, 4] x, float[4] shift)"), ("Add(scaled, beta)", "Add(scaled, shift)")],
        "the mean (ReduceMean)",
        "β is not constant, with one number for each of 4 channels",
    ),
    "an unknown width": (
        [("(float[b, s, 4] x)", "(float[b, s, n] x)"), ("(float[b, s, 4] y)", "(float[b, s, m] y)")],
        "the mean (ReduceMean)",
        "the width of its input is not known",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_an_almost_layer_norm_is_not_modified_and_is_reported(case: str) -> None:
    changes, node, reason = TOLD[case]
    step = FuseLayerNorm()
    leaves_alone(step, written(*changes))
    assert [(miss.node, miss.reason) for miss in step.misses] == [(node, reason)]


UNCONNECTED = {
    "another axis": [("last = {-1}", "last = {1}")],
    "both axes": [("int64[1] last = {-1}", "int64[2] last = {-2, -1}")],
    "deviations of another mean": [
        ("(float[b, s, 4] x)", "(float[b, s, 4] x, float[b, s, 4] z)"),
        ("ReduceMean(x, last)", "ReduceMean(z, last)"),
    ],
    "deviations the other way round": [("Sub(x, mean)", "Sub(mean, x)")],
    "the root below": [("Div(deviation, root)", "Div(root, deviation)")],
    "a variance that is an output": [("(float[b, s, 4] y)", "(float[b, s, 4] y, float[b, s, 1] variance)")],
    "deviations that are read elsewhere": [
        ("(float[b, s, 4] y)", "(float[b, s, 4] y, float[b, s, 4] z)"),
        ("y = Add", "z = Relu(deviation) y = Add"),
    ],
}


@pytest.mark.parametrize("case", UNCONNECTED)
def test_what_is_connected_otherwise_is_not_modified(case: str) -> None:
    leaves_alone(FuseLayerNorm(), written(*UNCONNECTED[case]))


TENSORFLOW = """(float[b, s, 4] x) => (float[b, s, 4] y)
    <int64[1] last = {2}, float eps = {0.001}, float[4] gamma, float[4] beta>
    { mean = ReduceMean(x, last) deviation = Sub(x, mean) squares = Mul(deviation, deviation)
      variance = ReduceMean(squares, last) shifted = Add(variance, eps) root = Sqrt(shifted) one = Reciprocal(root)
      inverse = Mul(one, gamma) scaled = Mul(x, inverse) moved = Mul(mean, inverse) rest = Sub(beta, moved)
      y = Add(scaled, rest) }"""


@pytest.mark.parametrize("axis", ["2", "-1"])
def test_tensorflow_s_form(axis: str) -> None:
    becomes(FuseLayerNorm(), graph(TENSORFLOW.replace("last = {2}", f"last = {{{axis}}}")), FUSED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("last = {2}", "last = {1}"),
        ("Mul(deviation, deviation)", "Mul(deviation, x)"),
        ("Mul(mean, inverse)", "Mul(variance, inverse)"),
        ("float[4] gamma", "float[1] gamma"),
    ],
)
def test_others_in_tensorflow_s_form_stay(old: str, new: str) -> None:
    leaves_alone(FuseLayerNorm(), graph(TENSORFLOW.replace(old, new)))
