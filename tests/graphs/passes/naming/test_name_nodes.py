"""Names of nodes by layer."""

from __future__ import annotations

import onnx_ir as ir
from graph_helpers import LAYER, graph, leaves_alone, same_numbers, valid

from graphs.passes.naming.name_nodes import NameNodes

TWO_LAYERS = """(float[n, 4] x) => (float[n, 4] y, float[n, 2] left)
<float[4, 4] "a.layer.0.weight", float[4, 4] "a.layer.11.weight", float[4, 4] "player.5.weight", int64[2] s = {2, 2}>
{
    before = Relu(x)
    first = MatMul(before, "a.layer.0.weight")
    active = Relu(first)
    other = MatMul(active, "player.5.weight")
    left, right = Split <axis = -1> (other, s)
    joined = Concat <axis = -1> (right, right)
    second = MatMul(joined, "a.layer.11.weight")
    again = MatMul(second, "a.layer.11.weight")
    y = Relu(again)
}"""


def named(model: ir.Model) -> ir.Model:
    after = model.clone()
    assert NameNodes()(after).modified
    return after


def test_nodes_are_named_after_their_layer_and_counted_by_type() -> None:
    assert [node.name for node in named(graph(TWO_LAYERS)).graph] == [
        "embeddings/Relu_0",
        "layer.0/MatMul_0",
        "layer.0/Relu_0",
        "layer.0/MatMul_1",
        "layer.0/Split_0",
        "layer.0/Concat_0",
        "layer.11/MatMul_0",
        "layer.11/MatMul_1",
        "head/Relu_0",
    ]


def test_values_are_named_after_their_nodes_but_for_outputs() -> None:
    values = {node.name: [v.name for v in node.outputs] for node in named(graph(TWO_LAYERS)).graph}
    assert values["layer.0/MatMul_0"] == ["layer.0/MatMul_0"]
    assert values["layer.0/Split_0"] == ["left", "layer.0/Split_0:1"]
    assert values["head/Relu_0"] == ["y"]


def test_inputs_outputs_and_constants_keep_their_names() -> None:
    before = graph(LAYER)
    after = named(before)
    valid(before, after)
    assert after.graph.initializers.keys() == before.graph.initializers.keys()
    same_numbers(before, after)


def test_a_graph_without_layers_is_all_head() -> None:
    after = named(graph("(float[n, 4] x) => (float[n, 4] y) { a = Relu(x) y = Relu(a) }"))
    assert [node.name for node in after.graph] == ["head/Relu_0", "head/Relu_1"]


def test_a_second_run_changes_nothing() -> None:
    leaves_alone(NameNodes(), named(graph(TWO_LAYERS)))
