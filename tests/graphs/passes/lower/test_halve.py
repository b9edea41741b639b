"""Half precision, as a pass."""

from __future__ import annotations

import graph_helpers
import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Text, graph, leaves_alone, random_feed, run

from graphs.errors import GraphError
from graphs.passes.lower.halve import Halve
from graphs.passes.naming.name_nodes import NameNodes
from graphs.precision.calibration import Range, calibrate
from graphs.precision.channel_groups import ChannelGroups

NETWORK = Text("""(int64[n] ids) => (float[n, 2] y)
    <float[9, 4] T, float[4, 3] "layer.0.V", float[3] "layer.0.a", float[3, 2] "layer.1.W", float[2, 2] U>
    { e = Gather(T, ids) h = Gemm(e, "layer.0.V", "layer.0.a") r = Relu(h) m = MatMul(r, "layer.1.W")
      y = MatMul(m, U) }""")


def named(text: str = NETWORK) -> ir.Model:
    model = graph(text)
    NameNodes()(model)
    return model


def becomes(step: Halve, body: str) -> ir.Model:
    after = graph_helpers.becomes(step, named(), body, again=False, exact=False)
    feed = {"ids": np.arange(9)}
    np.testing.assert_allclose(run(after, feed)["y"], run(named(), feed)["y"], atol=1e-2)
    return after


def test_all_numbers_are_of_half_precision_but_for_outputs() -> None:
    step = Halve({})
    after = becomes(
        step,
        """e = Gather(T_half, ids) h = Gemm(e, layer_0_V_half, layer_0_a_half) r = Relu(h)
        m = MatMul(r, layer_1_W_half) o = MatMul(m, U_half) y = Cast <to = 1> (o)""",
    )
    assert {value.dtype for value in after.graph.initializers.values()} == {ir.DataType.FLOAT16}
    assert {name.removesuffix(".half") for name in after.graph.initializers} == set(named().graph.initializers)


def test_matches_are_nodes_that_give_half_precision() -> None:
    step = Halve({}, ["layer.0"])
    step(named())
    assert step.matches == len(("Gather", "Cast", "MatMul", "MatMul"))
    assert Halve({})(graph("(float[n] x) => (float[n] y) { y = Neg(x) }")).modified


# What is kept, and what becomes of the graph.
KEPT = {
    ("embeddings",): """e = Gather(T, ids) c = Cast <to = 10> (e) h = Gemm(c, layer_0_V_half, layer_0_a_half)
        r = Relu(h) m = MatMul(r, layer_1_W_half) o = MatMul(m, U_half) y = Cast <to = 1> (o)""",
    ("layer.0",): """e = Gather(T_half, ids) c = Cast <to = 1> (e) h = Gemm(c, layer_0_V, layer_0_a)
        r = Relu(h) d = Cast <to = 10> (r) m = MatMul(d, layer_1_W_half) o = MatMul(m, U_half) y = Cast <to = 1> (o)""",
    ("layer.1", "head"): """e = Gather(T_half, ids) h = Gemm(e, layer_0_V_half, layer_0_a_half) r = Relu(h)
        c = Cast <to = 1> (r) m = MatMul(c, layer_1_W) y = MatMul(m, U)""",
}


@pytest.mark.parametrize("keep", KEPT)
def test_layers_to_keep_stay_float32(keep: tuple[str, ...]) -> None:
    becomes(Halve({}, keep), KEPT[keep])


def test_where_all_layers_are_kept_nothing_changes() -> None:
    leaves_alone(Halve({}, ("embeddings", "layer.0", "layer.1", "head")), named())


def test_numbers_that_come_too_near_to_the_largest_are_an_error_and_nothing_changes() -> None:
    model = named()
    before = ir.to_proto(model)
    high = np.array([[1.0, 3e4, 2.0]])
    ranges = {"layer.0/Gemm_0": Range(-high, high, high, np.array([3e4]), np.zeros_like(high))}
    with pytest.raises(GraphError, match=r"^layer.0/Gemm_0 reaches 3.0e\+04 in channel 1 .* --keep-float layer.0, "):
        Halve(ranges)(model)
    assert ir.to_proto(model) == before
    assert Halve(ranges, ["layer.0"])(model).modified


def test_measured_on_texts() -> None:
    model = named(NETWORK.replace("(int64[n] ids)", "(float[n, 9] x)").replace("Gather(T, ids)", "MatMul(x, T)"))
    channels = ChannelGroups(model.graph)
    tame, wild = random_feed(model), random_feed(model)
    wild["x"][3] *= 1e5
    assert Halve(calibrate(model, [tame], channels))(model.clone()).modified
    with pytest.raises(GraphError, match=r"--keep-float embeddings,layer\.0,"):
        Halve(calibrate(model, [tame, wild], channels))(model)


def test_integers_are_not_modified() -> None:
    leaves_alone(Halve({}), graph("(int64[n] i) => (int64[n] y) <int64[1] k> { y = Add(i, k) }"))


def test_what_is_of_half_precision_is_not_modified() -> None:
    leaves_alone(Halve({}), graph("(float16[n, 4] x) => (float16[n, 4] y) <float16[4] k> { h = Add(x, k) y = Neg(h) }"))
