"""External data: the files that onnxruntime loads are read, and read once; all others are refused in one line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from graphs.errors import GraphError
from graphs.model import external_data
from graphs.model.external_data import ExternalDataError, external_bytes
from graphs.model.loading import read_model

VALUES = np.arange(512, dtype=np.float32)
BYTES = VALUES.tobytes()


def tensor(location: str, **fields: object) -> onnx.TensorProto:
    found = onnx.TensorProto(name="w", dims=VALUES.shape, data_type=onnx.TensorProto.FLOAT)
    found.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **fields}.items():
        found.external_data.add(key=key, value=str(value))
    return found


def model(path: Path, location: str = "w.bin", **fields: object) -> Path:
    """Writes a model that adds a tensor in another file to its input."""
    nodes = [onnx.helper.make_node("Add", ["x", "w"], ["y"])]
    return saved(path, nodes, [tensor(location, **fields)])


def saved(path: Path, nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto]) -> Path:
    ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, VALUES.shape) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "g", ports[:1], ports[1:], initializers)
    path.parent.mkdir(parents=True, exist_ok=True)
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with data, links into it and out of it; outside of it is `secret`."""
    for name in ("secret", "home/w.bin", "home/deep/w.bin", "beside/w.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(BYTES)
    folder = tmp_path / "home"
    (folder / "out.bin").symlink_to("../secret")
    (folder / "in.bin").symlink_to("w.bin")
    (folder / "folder.bin").mkdir()
    (folder / "hard.bin").hardlink_to(folder / "w.bin")
    return folder


def runs(path: Path) -> bool:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception:
        return False
    return True


def refusal(path: Path) -> str:
    with pytest.raises(GraphError) as raised:
        read_model(path)
    assert "\n" not in str(raised.value)
    assert not runs(path)  # onnxruntime's rule
    return str(raised.value)


def weights(path: Path) -> np.ndarray:
    assert runs(path)
    found = read_model(path).graph.initializers["w"].const_value
    assert found is not None
    assert not isinstance(found, ir.ExternalTensor)
    return found.numpy()


@pytest.mark.parametrize("location", ["w.bin", "deep/w.bin", "../home/w.bin", "in.bin", "hard.bin", "./deep/../w.bin"])
@pytest.mark.parametrize("relative", [False, True])
def test_data_in_the_folder_of_the_model(
    home: Path, location: str, relative: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(home / "model.onnx", location)
    if relative:
        monkeypatch.chdir(home)
        path = Path("model.onnx")
    np.testing.assert_array_equal(weights(path), VALUES)


@pytest.mark.parametrize(
    ("location", "fields", "line"),
    [
        ("../secret", {}, "in ../secret, which is outside of its folder; onnxruntime refuses that, too"),
        ("../nothing", {}, "in ../nothing, which is outside of its folder"),
        ("../beside/w.bin", {}, "outside of its folder"),
        ("out.bin", {}, "in out.bin, which is outside of its folder"),
        ("{home}/w.bin", {}, "which is an absolute path; expected a file in its folder"),
        ("{home}/../secret", {}, "which is an absolute path"),
        ("C:\\w.bin", {}, "which is an absolute path"),
        ("none.bin", {}, "in none.bin, which is not there; put it beside the model"),
        ("folder.bin", {}, "in folder.bin, which is a folder; expected a file"),
        (".", {}, "which is a folder"),
        ("", {}, "has weights in another file, and does not name it"),
        ("a\nb", {}, "in a?b, which is not there"),
        ("x" * 5_000, {}, "which is not readable (File name too long)"),
        ("w.bin", {"offset": 1}, "too short: w is 2,048 bytes from byte 1 on, and the file has 2,048; copy it again"),
        ("w.bin", {"offset": -1}, "the offset of the tensor w in w.bin is -1; expected a number of bytes, at least 0"),
        ("w.bin", {"length": -8}, "the length of the tensor w in w.bin is -8; expected a number of bytes"),
        ("w.bin", {"offset": "9" * 5_000}, "the offset of the tensor w in w.bin is 9999"),
        ("w.bin", {"length": 8}, "8 bytes for w, whose shape needs 2,048"),
        ("w.bin", {"length": 4_096}, "4,096 bytes for w, whose shape needs 2,048"),
        ("w.bin", {"offset": "one"}, "the offset of the tensor w in w.bin is one; expected a number"),
        ("w.bin", {"offset": ""}, "the offset of the tensor w in w.bin is ; expected a number"),
    ],
)
@pytest.mark.parametrize("relative", [False, True])
def test_what_onnxruntime_refuses(
    home: Path, location: str, fields: dict[str, object], line: str, relative: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(home / "model.onnx", location.format(home=home), **fields)
    if relative:
        monkeypatch.chdir(home)
        path = Path("model.onnx")
    message = refusal(path)
    assert line in message
    assert message.startswith(str(path))
    with pytest.raises(GraphError):
        read_model(path, values=False)


def test_a_name_that_is_not_utf8(home: Path) -> None:
    path = model(home / "model.onnx")
    path.write_bytes(path.read_bytes().replace(b"w.bin", b"w\xffbin"))
    assert "keeps its weights in w?bin, which is not there" in refusal(path)


def test_a_number_that_is_not_utf8(home: Path) -> None:
    path = model(home / "model.onnx", "w.bin", offset="one")
    path.write_bytes(path.read_bytes().replace(b"one", b"o\xffe"))
    assert "expected a number of bytes" in refusal(path)


def test_a_pipe_is_not_waited_for(home: Path) -> None:
    os.mkfifo(home / "pipe")
    with pytest.raises(ExternalDataError, match="which is not a regular file"):
        read_model(model(home / "model.onnx", "pipe"))


def hub(folder: Path, location: str = "model.onnx_data") -> Path:
    """Lays a model out as the hub's cache: it and its data are links into a folder of blobs."""
    model(folder / "blobs" / "1f", location)
    (folder / "blobs" / "2e").write_bytes(BYTES)
    snapshot = folder / "snapshots" / "abc" / "onnx"
    snapshot.mkdir(parents=True)
    for name, blob in (("model.onnx", "1f"), ("model.onnx_data", "2e")):
        (snapshot / name).symlink_to(Path("../../../blobs", blob))
    return snapshot / "model.onnx"


def test_a_cache_of_the_hub(tmp_path: Path) -> None:
    np.testing.assert_array_equal(weights(hub(tmp_path)), VALUES)


def test_links_of_the_data_alone_lead_out(tmp_path: Path) -> None:
    path = hub(tmp_path)
    path.unlink()
    shutil.copy(tmp_path / "blobs" / "1f", path)
    assert "which is outside of its folder" in refusal(path)


def test_the_link_of_a_model_does_not_bring_its_data(home: Path) -> None:
    model(home / "model.onnx")
    link = home.parent / "beside" / "model.onnx"
    link.symlink_to(home / "model.onnx")
    np.testing.assert_array_equal(weights(link), VALUES)  # its own w.bin
    (link.parent / "w.bin").unlink()
    assert "which is not there; put it beside the model" in refusal(link)


def test_constants_and_subgraphs(home: Path) -> None:
    """Attributes and subgraphs have external data, too; only within functions does onnxruntime not read it."""
    constant = onnx.helper.make_node("Constant", [], ["w"], value=tensor("deep/w.bin"))
    add = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    path = saved(home / "constant.onnx", [constant, add], [])
    assert runs(path)
    node = read_model(path).graph[0]
    np.testing.assert_array_equal(node.attributes["value"].as_tensor().numpy(), VALUES)
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["z"])],
        "inner",
        [],
        [onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, VALUES.shape)],
        [tensor("w.bin")],
    )
    yes = onnx.helper.make_tensor("yes", onnx.TensorProto.BOOL, [], [True])
    branch = onnx.helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)
    path = saved(home / "subgraph.onnx", [branch], [yes])
    found = [value.const_value for graph in read_model(path).graphs() for value in graph.initializers.values()]
    assert [type(one) for one in found if isinstance(one, ir.ExternalTensor)] == []
    assert sum(one is not None and one.nbytes == len(BYTES) for one in found) == 2
    for location in ("../secret", "out.bin"):
        secret = onnx.helper.make_node("Constant", [], ["w"], value=tensor(location))
        assert "outside of its folder" in refusal(saved(home / "constant.onnx", [secret, add], []))
        inner.initializer[0].external_data[0].value = location
        branch = onnx.helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)
        assert "outside of its folder" in refusal(saved(home / "subgraph.onnx", [branch], [yes]))


def test_functions(home: Path) -> None:
    """onnxruntime does not load this, but `optimize` and `inspect` must not read it from elsewhere either."""
    nodes = [
        onnx.helper.make_node("Constant", [], ["w"], value=tensor("../secret")),
        onnx.helper.make_node("Add", ["x", "w"], ["y"]),
    ]
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("own", 1)]
    function = onnx.helper.make_function("own", "Shift", ["x"], ["y"], nodes, opsets)
    proto = onnx.load_from_string(saved(home / "m.onnx", [], []).read_bytes())
    proto.graph.node.add(op_type="Shift", domain="own", input=["x"], output=["y"])
    proto.opset_import.append(opsets[1])
    proto.functions.append(function)
    (home / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ExternalDataError, match="outside of its folder"):
        read_model(home / "m.onnx")


def test_large_values_are_read_on_request_only(home: Path) -> None:
    path = model(home / "model.onnx")
    sizes = read_model(path, values=False)
    assert isinstance(sizes.graph.initializers["w"].const_value, ir.ExternalTensor)
    assert external_bytes(sizes) == external_bytes(read_model(path)) == len(BYTES)


def test_more_than_fits_in_memory_is_not_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model(home / "model.onnx")
    monkeypatch.setattr(external_data, "MOST_BYTES", 2_000)
    with pytest.raises(ExternalDataError, match="has 2,048 bytes of weights in other files; expected at most 2,000"):
        read_model(path)
    read_model(path, values=False)


# Changes while a model is read


@pytest.mark.parametrize("content", [BYTES[:1_000], b"", BYTES[::-1], BYTES + b"more"])
def test_data_that_is_written_to_while_it_is_read(home: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model(home / "model.onnx")
    check = external_data._DataFile.check

    def overtaken(self: external_data._DataFile, tensor: ir.ExternalTensor) -> None:
        check(self, tensor)
        (home / "w.bin").write_bytes(content)
        os.utime(home / "w.bin", (1, 1))  # clocks of file systems are coarse

    monkeypatch.setattr(external_data._DataFile, "check", overtaken)
    with pytest.raises(ExternalDataError, match=r"which is being written: it changed while it was read; run .* again"):
        read_model(path)


def test_data_that_is_replaced_while_it_is_read_is_the_old_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is opened once: what takes its name afterwards is not mixed in."""
    path = model(home / "model.onnx")
    read = external_data._DataFile.read

    def overtaken(self: external_data._DataFile, tensor: ir.ExternalTensor) -> bytes:
        (home / "w.bin").unlink()
        (home / "w.bin").symlink_to("../secret")
        return read(self, tensor)

    monkeypatch.setattr(external_data._DataFile, "read", overtaken)
    found = read_model(path).graph.initializers["w"].const_value
    assert found is not None
    np.testing.assert_array_equal(found.numpy(), VALUES)


def test_a_graph_is_not_read_with_the_weights_of_the_next_export(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model(home / "model.onnx")
    load = external_data.load_external_data

    def overtaken(*arguments: object, **options: object) -> None:
        model(home / "next.onnx", "deep/w.bin").replace(path)
        load(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("graphs.model.loading.load_external_data", overtaken)
    with pytest.raises(GraphError, match=r"model\.onnx is being written: it changed while it was read"):
        read_model(path)


def test_what_is_read_stays_when_the_file_changes_afterwards(home: Path) -> None:
    found = read_model(model(home / "model.onnx")).graph.initializers["w"].const_value
    (home / "w.bin").write_bytes(b"")
    assert found is not None
    np.testing.assert_array_equal(found.numpy(), VALUES)
