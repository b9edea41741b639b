"""Files that are, and that are not, ONNX models."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
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


@pytest.mark.parametrize("content", [b"This is a text\nof two lines.\n", b"\0" * 50])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert "is not an ONNX model, or is corrupt" in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("config.json", b'{"architectures": []}', "it is JSON: give an .onnx file, or the folder of a bundle"),
        ("model.onnx", b'\xef\xbb\xbf {"json": true}', "it is JSON: give an .onnx file"),
        ("model.onnx", b"<!DOCTYPE html>", "it is HTML or XML: download the .onnx file itself"),
        (
            "model.onnx",
            b"version https://git-lfs.github.com/spec/v1\n",
            "it is a git-lfs pointer and not the model: fe",
        ),
        ("model.bin", b"PK\x03\x04aaaa", "it is a zip archive, as torch.save and zip write it: give an .onnx file"),
        ("notes.txt", b"some text\n", "; give an .onnx file, or the folder of a bundle"),
    ],
)
def test_a_file_of_a_known_kind_is_named(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    line = refusal(path)
    assert line.startswith(f"{path} is not an ONNX model")
    assert says in line
    assert "export it again" not in line


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
    assert refusal(path).startswith(f"{path} keeps its weights in weights.bin, which is too short: ")


RECURSIVE = """
<ir_version: 9, opset_import: ["": 18, "them": 1]> g (float[4] x) => (float[4] y) {{ y = them.first(x) }}
<domain: "them", opset_import: ["": 18, "them": 1]> first (x) => (y) {{ y = them.{calls}(x) }}
<domain: "them", opset_import: ["": 18, "them": 1]> second (x) => (y) {{ y = them.first(x) }}
"""


@pytest.mark.parametrize("calls", ["first", "second"])
def test_a_function_that_calls_itself(calls: str, tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(RECURSIVE.format(calls=calls)), tmp_path / "x.onnx")
    assert refusal(tmp_path / "x.onnx").endswith("calls itself; no runtime could run it: export it again")


def test_a_function_that_reads_what_nothing_computes(tmp_path: Path) -> None:
    made = onnx.parser.parse_model(RECURSIVE.format(calls="second"))
    made.functions[0].node[0].CopyFrom(onnx.helper.make_node("Add", ["x", "bias"], ["y"]))
    onnx.save(made, tmp_path / "x.onnx")
    line = "nothing computes bias in the function them.first; the graph is incomplete: export it again"
    assert refusal(tmp_path / "x.onnx").endswith(line)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"data_type": onnx.TensorProto.UNDEFINED}, "UNDEFINED"),
        ({"raw_data": b"abcd"}, "4 bytes|size 1|buffer"),
        ({"dims": [4, 5]}, "reshape"),
    ],
)
@pytest.mark.parametrize("place", ["initializer", "attribute"])
def test_a_tensor_whose_data_are_not_those_of_its_shape(
    place: str, changes: dict[str, object], found: str, tmp_path: Path
) -> None:
    made = ir.to_proto(graph(TEXT))
    tensor = onnx.numpy_helper.from_array(np.ones((4, 4), np.float32), "W")
    for name, value in changes.items():
        if isinstance(value, list):
            tensor.dims[:] = value
        else:
            setattr(tensor, name, value)
    if place == "initializer":
        made.graph.initializer[0].CopyFrom(tensor)
    else:
        made.graph.node.add(op_type="Constant", output=["c"]).attribute.add(
            name="value", type=onnx.AttributeProto.TENSOR, t=tensor
        )
    onnx.save(made, tmp_path / "x.onnx")
    message = refusal(tmp_path / "x.onnx")
    assert re.search(rf"the data of the tensor W are not those of its type and shape \(.*({found}).*\); the", message)


@pytest.mark.parametrize("name", [b"W", b"MatMul", b"someone", b"key", b"n"])
def test_a_name_that_is_not_utf8(name: bytes, tmp_path: Path) -> None:
    made = ir.to_proto(graph(TEXT))
    made.producer_name = "someone"
    made.metadata_props.add(key="key", value="value")
    data = made.SerializeToString()
    assert bytes([len(name)]) + name in data
    (tmp_path / "x.onnx").write_bytes(data.replace(bytes([len(name)]) + name, bytes([len(name)]) + b"\xff" + name[1:]))
    assert re.search(
        r"the name .* is not valid UTF-8; the file is damaged|not an ONNX mod", refusal(tmp_path / "x.onnx")
    )


@pytest.mark.parametrize("kind", [onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS])
def test_a_subgraph_that_a_function_takes_from_its_caller(
    kind: onnx.AttributeProto.AttributeType, tmp_path: Path
) -> None:
    made = onnx.parser.parse_model(RECURSIVE.format(calls="second"))
    node = onnx.helper.make_node("If", ["x"], ["y"])
    node.attribute.add(name="then_branch", type=kind, ref_attr_name="branch")
    made.functions[0].attribute.append("branch")
    made.functions[0].node[0].CopyFrom(node)
    onnx.save(made, tmp_path / "x.onnx")
    assert "the If in a function has no subgraph then_branch of its own; exp" in refusal(tmp_path / "x.onnx")


SPLIT = """
<ir_version: 9, opset_import: ["": 18, "them": 1]> g (float[4] x) => (float[2] y, float[2] z) {{ {main} }}
<domain: "them", opset_import: ["": 18]> halves (x) => (y, z) {{ {function} }}
"""


@pytest.mark.parametrize("place", ["main", "function"])
def test_a_split_of_more_outputs_than_it_says(place: str, tmp_path: Path) -> None:
    nodes = {"main": "y, z = them.halves(x)", "function": "y, z = Split <num_outputs = 2> (x)"}
    nodes[place] = "y, z, more = Split <num_outputs = 2> (x)"
    onnx.save(onnx.parser.parse_model(SPLIT.format(**nodes)), tmp_path / "x.onnx")
    line = "has 3 outputs and num_outputs 2; the graph is damaged: export it again"
    assert refusal(tmp_path / "x.onnx").endswith(line)


@pytest.mark.parametrize(
    "wrong",
    [
        onnx.helper.make_node("Constant", [], ["y"], vamue=1.0),
        onnx.helper.make_node("Constant", [], ["y"], value_int=1, value_float=1.0),
        onnx.helper.make_node("Constant", [], ["y"], value=1),
        onnx.helper.make_node("Constant", [], ["y"]),
    ],
    ids=["another name", "two", "no tensor", "none"],
)
def test_a_constant_without_a_value(wrong: onnx.NodeProto, tmp_path: Path) -> None:
    made = onnx.parser.parse_model(RECURSIVE.format(calls="second"))
    made.graph.node[0].CopyFrom(wrong)
    del made.functions[:]
    onnx.save(made, tmp_path / "x.onnx")
    assert re.search(r"the Constant \S* ?has no value \(.+\); the graph is damaged", refusal(tmp_path / "x.onnx"))


def test_a_tensor_of_a_negative_size(tmp_path: Path) -> None:
    made = ir.to_proto(graph(TEXT))
    made.graph.initializer[0].dims[0] = -4
    onnx.save(made, tmp_path / "x.onnx")
    assert "the tensor W has the shape [-4,4], and its data [4, 4]; the file is damaged" in refusal(tmp_path / "x.onnx")


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
