"""Files that are, and that are not, ONNX models."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from graph_helpers import graph, same_numbers

from graphs.errors import GraphError
from graphs.model.loading import read_model

TEXT = "(float[n, 4] x) => (float[n, 4] y) <float[4, 4] W, float[4, 4] V> { a = MatMul(x, W) y = MatMul(a, V) }"


def refusal(path: Path) -> str:
    with pytest.raises(GraphError) as raised:
        read_model(path)
    message = str(raised.value)
    assert "\n" not in message
    return message


def with_weights_beside(folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(ir.to_proto(graph(TEXT)), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_a_model_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    ir.save(graph(TEXT), path)
    same_numbers(graph(TEXT), read_model(path))


def test_a_model_with_weights_beside_it_is_read(tmp_path: Path) -> None:
    model = read_model(with_weights_beside(tmp_path))
    same_numbers(graph(TEXT), model)


def test_a_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.onnx") == f"{tmp_path / 'no.onnx'}: no such file; expected an .onnx model"


def test_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: no such file; expected an .onnx model"


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    assert "holds no graph; it is empty" in refusal(path)


@pytest.mark.parametrize("content", [b"This is a text\nof two lines.\n", b"\0" * 50, b'{"json": true}'])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert "is not an ONNX model, or is corrupt" in refusal(path)


def test_a_truncated_model(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    ir.save(graph(TEXT), path)
    path.write_bytes(path.read_bytes()[:-40])
    refusal(path)


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    path = with_weights_beside(tmp_path)
    (tmp_path / "weights.bin").unlink()
    assert refusal(path) == f"{path} keeps its weights in weights.bin, which is not there; put it beside the model"


def test_weights_that_are_truncated(tmp_path: Path) -> None:
    path, weights = with_weights_beside(tmp_path), tmp_path / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert refusal(path) == f"{path} keeps its weights in weights.bin, which is too short; copy it again"


RECURSIVE = """
<ir_version: 9, opset_import: ["": 18, "them": 1]> g (float[4] x) => (float[4] y) {{ y = them.first(x) }}
<domain: "them", opset_import: ["": 18, "them": 1]> first (x) => (y) {{ y = them.{calls}(x) }}
<domain: "them", opset_import: ["": 18, "them": 1]> second (x) => (y) {{ y = them.first(x) }}
"""


@pytest.mark.parametrize("calls", ["first", "second"])
def test_a_function_that_calls_itself(calls: str, tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(RECURSIVE.format(calls=calls)), tmp_path / "x.onnx")
    assert refusal(tmp_path / "x.onnx").endswith("calls itself; no runtime could run it: export it again")


def test_a_negative_size_is_an_unknown_one(tmp_path: Path) -> None:
    """As onnxruntime takes it."""
    made = ir.to_proto(graph("(float[n, 4] x) => (float[n, 4] y) { y = Relu(x) }"))
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = -1
    onnx.save(made, tmp_path / "x.onnx")
    model = read_model(tmp_path / "x.onnx")
    assert [str(size) for size in model.graph.inputs[0].shape or ()] == ["None", "4"]
    same_numbers(graph("(float[n, 4] x) => (float[n, 4] y) { y = Relu(x) }"), model)


def test_nodes_that_are_out_of_order_are_sorted(tmp_path: Path) -> None:
    """onnxruntime runs such files, and its converter to float16 writes them."""
    model = ir.to_proto(graph(TEXT))
    model.graph.node.reverse()
    onnx.save(model, tmp_path / "model.onnx")
    found = read_model(tmp_path / "model.onnx")
    assert [node.outputs[0].name for node in found.graph] == ["a", "y"]
    same_numbers(graph(TEXT), found)


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    model = ir.to_proto(graph(TEXT))
    model.graph.node[0].input[0] = "y"
    onnx.save(model, tmp_path / "model.onnx")
    assert "reads y, which is computed from its own result; the graph is cyclic" in refusal(tmp_path / "model.onnx")
