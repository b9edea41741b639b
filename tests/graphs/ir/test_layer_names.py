"""Layer of a node."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from graph_helpers import graph

from graphs.ir.layer_names import EMBEDDINGS, HEAD, LAYER, in_layers, layer_of, layers
from graphs.passes.naming.name_nodes import NameNodes

TEXT = """(float[n, 4] x) => (float[n, 4] y) <float[4, 4] first, float[4, 4] "encoder.layer.3.dense.weight",
    float[4, 4] "encoder.layer.12.dense.weight", float[4, 4] last>
    { a = Gemm(x, first) b = Gemm(a, "encoder.layer.3.dense.weight") c = Relu(b)
      d = Gemm(c, "encoder.layer.12.dense.weight") e = Gemm(d, last) y = Relu(e) }"""


def named() -> ir.Model:
    model = graph(TEXT)
    NameNodes()(model)
    return model


def test_nodes_belong_to_the_layer_that_they_are_named_after() -> None:
    expected = [EMBEDDINGS, "layer.3", "layer.3", "layer.12", HEAD, HEAD]
    assert [layer_of(node) for node in named().graph] == expected


def test_layers_stand_in_order_and_once() -> None:
    assert layers(named().graph) == [EMBEDDINGS, "layer.3", "layer.12", HEAD]


def test_layer_1_is_not_layer_12() -> None:
    chosen = [node for node in named().graph if in_layers(node, ["layer.1", "layer.12"])]
    assert [node.name for node in chosen] == ["layer.12/Gemm_0"]


def test_no_layer_is_chosen_where_none_is_named() -> None:
    assert not any(in_layers(node, []) for node in named().graph)


def test_a_node_without_a_name_is_of_no_layer() -> None:
    (node, *_) = graph(TEXT).graph
    node.name = None
    assert layer_of(node) == ""
    assert not in_layers(node, [EMBEDDINGS, HEAD])


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("mobilebert.encoder.layer.7.ffn.0.weight", "layer.7"),
        ("layer.23", "layer.23"),
        ("bert_layer.3.weight", None),
        ("layer.x.weight", None),
        ("layers.3.weight", None),
    ],
)
def test_the_layer_of_a_weight_s_name(name: str, layer: str | None) -> None:
    found = LAYER.search(name)
    assert (found.group(0) if found else None) == layer
