"""Names of weights by layer, from the names and records of other exporters, or from the structure of the graph."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import pytest
from graph_helpers import graph, leaves_alone
from text_models import bert
from tf2onnx_graphs import tf_mobilebert

from graphs.ir.layer_names import SCOPES
from graphs.ir.layer_structure import structural_layers
from graphs.passes.naming.name_weights import NameWeights

PRODUCTS = """(float[n, 4] x) => (float[n, 4] y) <float[4, 4] w, float[4] b, float[4, 4] v, float c = {2.0}, int64[1] i>
    { p = MatMul(x, w) q = Add(p, b) t = Transpose(v) r = MatMul(q, t) s = Mul(r, c) y = Squeeze(s, i) }"""


def named(model: ir.Model) -> dict[str, str]:
    """The new names of the weights, by their old ones."""
    after = model.clone()
    values = {str(value.name): value for value in after.graph.initializers.values()}
    NameWeights()(after)
    leaves_alone(NameWeights(), after)
    return {name: str(value.name) for name, value in values.items()}


def products(*names: str | None, **scopes: list[str]) -> ir.Model:
    """The graph with names of its nodes, and with modules of some of them by operator."""
    model = graph(PRODUCTS.replace("i>", "i = {1}>").replace("y = Squeeze(s, i)", "y = Identity(s)"))
    for node, name in zip(model.graph, names, strict=False):
        node.name = name
    for node in model.graph:
        if node.op_type in scopes:
            node.metadata_props[SCOPES] = repr(scopes[node.op_type])
    return model


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("/mobilebert/encoder/layer.7/dense/MatMul", "mobilebert.encoder.layer.7.dense.MatMul.weight"),
        ("tf/encoder/layer_._7/dense/MatMul", "tf.encoder.layer.7.dense.MatMul.weight"),
        ("bert/encoder/layer_7/dense/MatMul", "bert.encoder.layer.7.dense.MatMul.weight"),
        ("p_mobilebert_encoder_layer_7_dense", "p_mobilebert_encoder.layer.7.dense.weight"),
        ("node_MatMul_12", "w"),
        ("my_layer_7/MatMul", "w"),
    ],
)
def test_the_name_of_a_node(name: str, weight: str) -> None:
    assert named(products(name)) == {"w": weight, "b": "b", "v": "v", "c": "c", "i": "i"}


def test_the_module_of_a_node() -> None:
    scopes = ["", "mobilebert", "mobilebert.encoder.layer.3", "mobilebert.encoder.layer.3.dense", "linear_9"]
    dense = "mobilebert.encoder.layer.3.dense"
    found = {"w": f"{dense}.weight", "b": f"{dense}.bias", "v": f"{dense}.weight.2", "c": "c", "i": "i"}
    assert named(products(MatMul=scopes, Add=scopes)) == found  # a number and an axis are no weights


@pytest.mark.parametrize("record", ["['mobilebert', 'pooler']", "not a list", "7", "[1, 2]", "__import__('os')"])
def test_other_records_say_nothing(record: str) -> None:
    model = products()
    next(iter(model.graph)).metadata_props[SCOPES] = record
    leaves_alone(NameWeights(), model)


def test_the_name_of_a_weight() -> None:
    model = products()
    weight = model.graph.initializers["w"]
    weight.name = "tf/encoder/layer_._11/query/ReadVariableOp:0"
    assert named(model)[weight.name] == "tf.encoder.layer.11.query.ReadVariableOp"


def test_a_weight_behind_a_transpose_keeps_its_layer_when_constants_are_folded() -> None:
    model = products(None, None, None, "/encoder/layer.2/MatMul")
    after = model.clone()
    NameWeights()(after)
    (transpose,) = [node for node in after.graph if node.op_type == "Transpose"]
    names = [str(value.name) for value in (*transpose.inputs, *transpose.outputs) if value is not None]
    assert names == ["encoder.layer.2.MatMul.weight", "encoder.layer.2.MatMul.weight.Transpose"]


def test_the_structure_decides_where_no_name_does() -> None:
    model = bert(layers=3)
    for name, found in named(model).items():
        layer = name.rpartition("_")[2]
        assert found == (f"layer.{layer}.{name}" if layer.isdigit() else name)


@pytest.mark.parametrize("options", [{}, {"keras": True, "dense": "einsum"}, {"networks": 4, "dense": "matmul"}])
def test_the_layers_of_a_graph(options: dict[str, Any]) -> None:
    model = ir.from_proto(tf_mobilebert(layers=3, **options))
    found = structural_layers(model.graph)
    for node in model.graph:
        place = str(node.name).partition("layer_")[2].lstrip("._")[:1]
        if place.isdigit() and node.op_type in ("MatMul", "Einsum", "Mul", "Relu", "Softmax"):
            assert found[node] == int(place), node.name
        elif not place.isdigit():
            assert node not in found, node.name


def test_a_graph_without_attention_has_no_layers() -> None:
    assert structural_layers(products().graph) == {}
    text = "(int64[n] x) => (float[n, 4] y) <float[9, 4] t> { e = Gather(t, x) y = Softmax(e) }"
    assert structural_layers(graph(text).graph) == {}


def test_another_form_of_a_named_weight_is_named_after_it() -> None:
    """torch.export without its optimizer transposes each weight in the graph."""
    model = products()
    model.graph.initializers["v"].name = "encoder.layer.4.dense.weight"
    after = model.clone()
    NameWeights()(after)
    (transpose,) = [node for node in after.graph if node.op_type == "Transpose"]
    assert transpose.outputs[0].name == "encoder.layer.4.dense.weight.Transpose"
    leaves_alone(NameWeights(), after)
