"""Graphs as tf2onnx writes them: they reach the fused layers, whatever their masks, products and lookups look like."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from tf2onnx_graphs import DENSE, MASKS, feed, tf_mobilebert

from graphs.ir.layer_names import layer_of, layers
from graphs.pipeline import optimize

# What is left of a model of two layers: sizes, the mask, the embeddings, the fused layers and the head.
NODES = 24

VARIANTS = [
    *({"mask": mask} for mask in MASKS),
    *({"dense": dense} for dense in DENSE if dense != "tensordot"),
    {"shift": 0.0, "opset": 17},
    {"one_hot": True},
    {"keras": True, "dense": "einsum", "mask": "square", "one_hot": True, "shift": 0.0},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_a_graph_reaches_the_fused_layers(options: dict[str, Any]) -> None:
    proto = tf_mobilebert(**options)
    given, feeds = proto.SerializeToString(), feed(proto)
    found = optimize(ir.from_proto(proto), compare=False).model
    counts = Counter(node.op_type for node in found.graph)
    assert counts["Encoder"] == 1
    assert found.graph.num_nodes() == NODES
    onnx.checker.check_model(ir.to_proto(found))
    before, after = (
        onnxruntime.InferenceSession(model).run(None, feeds)
        for model in (given, ir.to_proto(found).SerializeToString())
    )
    for own, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other, own, atol=2e-5 * np.abs(own).max())


@pytest.mark.parametrize("keras", [False, True])
def test_its_nodes_belong_to_layers(keras: bool) -> None:
    found = optimize(ir.from_proto(tf_mobilebert(keras=keras, layers=3)), functions=False, compare=False).model
    assert layers(found.graph) == ["embeddings", "layer.0", "layer.1", "layer.2", "head"]
    of_layer = Counter(layer_of(node) for node in found.graph if node.op_type in ("MatMul", "Gemm"))
    assert of_layer == {"embeddings": 1, "layer.0": 10, "layer.1": 10, "layer.2": 10, "head": 1}


def test_a_mask_that_lets_padding_in_is_not_simplified() -> None:
    proto = tf_mobilebert(mask="weak")
    found = optimize(ir.from_proto(proto), compare=False)
    entry = next(entry for entry in found.ledger if entry.name == "simplify-mask")
    assert "it lets padding in" in entry.misses[0].reason
