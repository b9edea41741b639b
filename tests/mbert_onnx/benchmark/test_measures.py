"""What a roofline needs to know about a file."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from mbert_onnx.benchmark.measures import precision_of


@pytest.mark.parametrize(
    ("types", "precision"),
    [
        ([TensorProto.FLOAT], "float32"),
        ([TensorProto.FLOAT16], "fp16"),
        ([TensorProto.FLOAT, TensorProto.FLOAT16], "fp16"),
        ([TensorProto.FLOAT, TensorProto.INT8], "int8"),
        ([TensorProto.FLOAT16, TensorProto.UINT8], "int8"),
    ],
)
def test_the_precision_is_the_smallest_of_the_matrices(types: list[int], precision: str, tmp_path: Path) -> None:
    matrices = [helper.make_tensor(f"w{number}", kind, [1, 1], [1]) for number, kind in enumerate(types)]
    scale = helper.make_tensor("scale", TensorProto.FLOAT16, [1], [1])  # a vector does not count
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y], [*matrices, scale])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph), path)
    assert precision_of(path) == precision
    assert precision_of(tmp_path / "model.tflite") == ""
