"""Written model files: large values begin at multiples of 64 bytes, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from mbert_onnx.bundles.onnx_writer import ALIGNMENT, save_model
from perf.sessions.runtimes.mapping.mapped_weights import SMALLEST, without_weights


def model(sizes: list[int], doc_string: str | None = None) -> onnx.ModelProto:
    weights = [
        numpy_helper.from_array(np.random.default_rng(i).integers(-99, 99, size, dtype=np.int8), f"w{i}")
        for i, size in enumerate(sizes)
    ]
    nodes = [helper.make_node("Identity", [w.name], [f"y{i}"]) for i, w in enumerate(weights)]
    outputs = [helper.make_tensor_value_info(f"y{i}", TensorProto.INT8, [None]) for i in range(len(sizes))]
    graph = helper.make_graph(nodes, "weights", [], outputs, weights, doc_string=doc_string)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def check(proto: onnx.ModelProto, path: Path) -> None:
    save_model(ir.from_proto(proto), path)
    expected, found, data = ir.to_proto(ir.from_proto(proto)), onnx.load(path), path.read_bytes()
    offsets = [data.index(one.raw_data) for one in found.graph.initializer if len(one.raw_data) >= SMALLEST]
    assert [offset % ALIGNMENT for offset in offsets] == [0] * len(offsets)
    assert found.graph.doc_string == expected.graph.doc_string
    if not expected.graph.doc_string:
        found.graph.ClearField("doc_string")
        expected.graph.ClearField("doc_string")
    assert found == expected
    onnx.checker.check_model(found)


@pytest.mark.parametrize("doc_string", [None, "A graph."])
def test_large_values_are_aligned_and_the_model_is_the_same(tmp_path: Path, doc_string: str | None) -> None:
    check(model([SMALLEST, 7, 5000, 3, 100_001, SMALLEST], doc_string), tmp_path / "a.onnx")
    assert without_weights(tmp_path / "a.onnx") is not None


def test_a_model_without_large_values_is_written_as_it_is(tmp_path: Path) -> None:
    proto = ir.to_proto(ir.from_proto(model([100, 20])))
    save_model(ir.from_proto(proto), tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == proto.SerializeToString()


def test_padding_makes_the_prefix_of_the_graph_longer(tmp_path: Path) -> None:
    # The length of the graph takes three bytes, and with padding sometimes four.
    longest = 2**21 - len(model([1]).graph.SerializeToString())
    for size in range(longest - 110, longest, 16):
        check(model([size]), tmp_path / "a.onnx")
