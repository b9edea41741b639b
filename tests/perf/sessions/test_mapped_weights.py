"""Sessions whose weights are mapped from the model file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from perf.sessions.runtimes.mapping import mapped_weights
from perf.sessions.runtimes.mapping.mapped_weights import open_mapped, without_weights
from perf.sessions.runtimes.mapping.protobuf_wire import fields, varint

WIDTH, ROWS = 8, 1024
IDS = np.arange(6, dtype=np.int64).reshape(1, 6)
TABLE = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)

needs_mapping = pytest.mark.skipif(os.name != "posix", reason="weights are not mapped on Windows")


def model(table: np.ndarray = TABLE, name: str = "tokens") -> onnx.ModelProto:
    """Gather(table, input_ids) + weight, with one large and one small initializer."""
    kind = helper.np_dtype_to_tensor_dtype(table.dtype)
    weights = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(table[0], "weight")]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Add", ["rows", "weight"], ["logits"]),
    ]
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "seq"])]
    outputs = [helper.make_tensor_value_info("logits", kind, ["batch", "seq", WIDTH])]
    graph = helper.make_graph(nodes, name, inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def aligned(path: Path, table: np.ndarray = TABLE, offset: int = 0) -> Path:
    """Writes the model, with a name such that the table's values begin at a multiple of 8 bytes, plus an offset."""
    for letters in range(1, 9):
        data = model(table, "t" * letters).SerializeToString()
        if data.index(table.tobytes()) % 8 == offset:
            path.write_bytes(data)
            return path
    raise AssertionError("expected one of 8 lengths of a name")


def run(session: ort.InferenceSession) -> Any:
    return session.run(None, {"input_ids": IDS})[0]


def is_mapped(path: Path) -> bool:
    return str(path.resolve()) in Path("/proc/self/maps").read_text(encoding="utf-8")


def opened(path: Path) -> ort.InferenceSession:
    return open_mapped(path, ort.SessionOptions(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.int64])
def test_large_values_become_external_data_in_the_file(tmp_path: Path, dtype: type[np.generic]) -> None:
    path = aligned(tmp_path / "a.onnx", (TABLE * 100).astype(dtype))
    data = without_weights(path)
    assert data is not None
    assert len(data) < 1000
    stripped = onnx.load_from_string(data)
    onnx.load_external_data_for_model(stripped, str(tmp_path))
    for tensor in stripped.graph.initializer:
        tensor.ClearField("data_location")
        del tensor.external_data[:]
    assert stripped == onnx.load(path)


def test_values_that_begin_within_an_element_are_copied(tmp_path: Path) -> None:
    assert without_weights(aligned(tmp_path / "a.onnx", offset=2)) is None
    assert without_weights(aligned(tmp_path / "b.onnx", (TABLE * 100).astype(np.int8), offset=3)) is not None


def test_a_file_without_large_initializers_is_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    onnx.save(model(TABLE[:20]), path)
    assert without_weights(path) is None
    assert run(opened(path)).shape == (1, 6, WIDTH)


@needs_mapping
def test_a_session_maps_the_file_and_computes_the_same(tmp_path: Path) -> None:
    path = aligned(tmp_path / "a.onnx")
    (tmp_path / "snapshot").mkdir()
    link = tmp_path / "snapshot" / "model.onnx"
    link.symlink_to(path)  # as in the cache of huggingface_hub
    for file in (path, link):
        session = opened(file)
        if sys.platform == "linux":
            assert is_mapped(path)
        np.testing.assert_array_equal(run(session), TABLE[IDS] + TABLE[0])
        del session


@pytest.mark.parametrize("elsewhere", [False, True])
def test_values_in_other_files_are_those_beside_the_path(tmp_path: Path, elsewhere: bool) -> None:
    """Where the model is a link to a file with another name, or another such file, beside it."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    path = aligned(tmp_path / "blobs" / "a.onnx")
    changed = onnx.load(path)
    onnx.external_data_helper.set_external_data(changed.graph.initializer[1], "weight.bin", 0, WIDTH * 4)
    changed.graph.initializer[1].ClearField("raw_data")
    path.write_bytes(changed.SerializeToString())
    (tmp_path / "snapshot" / "model.onnx").symlink_to(path)
    if elsewhere:
        (tmp_path / "blobs" / "b").write_bytes(TABLE[0].tobytes())
        (tmp_path / "snapshot" / "weight.bin").symlink_to(tmp_path / "blobs" / "b")
    else:
        (tmp_path / "blobs" / "weight.bin").write_bytes(bytes(WIDTH * 4))
        (tmp_path / "snapshot" / "weight.bin").write_bytes(TABLE[0].tobytes())
    expected = run(ort.InferenceSession(str(tmp_path / "snapshot" / "model.onnx"), providers=["CPUExecutionProvider"]))
    np.testing.assert_array_equal(run(opened(tmp_path / "snapshot" / "model.onnx")), expected)
    np.testing.assert_array_equal(expected, TABLE[IDS] + TABLE[0])


@needs_mapping
def test_a_file_that_is_replaced_while_it_is_open_stays_as_it_was(tmp_path: Path) -> None:
    path, beside = aligned(tmp_path / "a.onnx"), aligned(tmp_path / "b.onnx", TABLE + 1)
    session = opened(path)
    beside.replace(path)
    np.testing.assert_array_equal(run(session), TABLE[IDS] + TABLE[0])
    np.testing.assert_allclose(run(opened(path)), TABLE[IDS] + TABLE[0] + 2, rtol=1e-5)


def test_a_file_that_is_replaced_while_it_is_opened_is_not_mixed_with_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, beside = aligned(tmp_path / "a.onnx"), aligned(tmp_path / "b.onnx", TABLE + 1)

    def replaced(file: Path) -> bytes | None:
        data = without_weights(file)
        beside.replace(path)
        return data

    monkeypatch.setattr(mapped_weights, "without_weights", replaced)
    session = opened(path)
    np.testing.assert_allclose(run(session), TABLE[IDS] + TABLE[0] + 2, rtol=1e-5)
    if sys.platform == "linux":
        assert not is_mapped(path)


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "other sizes"])
def test_the_error_of_a_damaged_file_is_onnxruntimes_own(tmp_path: Path, damage: str) -> None:
    path = aligned(tmp_path / "a.onnx")
    data = path.read_bytes()
    broken = model(TABLE, "t" * 40)
    broken.graph.initializer[0].dims[0] += 1
    contents = {"empty": b"", "cut": data[:-200], "text": b"not a protobuf", "other sizes": broken.SerializeToString()}
    path.write_bytes(contents[damage])
    with pytest.raises(Exception, match=r".") as expected:
        ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with pytest.raises(type(expected.value)) as found:
        opened(path)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    "data", [b"\x0a", b"\x0a\x05abc", b"\x80\x80", b"\x80" * 100 + b"\x01", b"\x0b", b"\x09abc", b"\x0f\x00"]
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"a field|a varint"):
        list(fields(data, 0, len(data)))


def test_fields_of_all_wire_types() -> None:
    data = b"\x08" + varint(300) + b"\x11" + bytes(8) + b"\x1a\x02hi" + b"\x25" + bytes(4) + b"\x82\x7d\x01!"
    assert [(number, data[content:end]) for number, _, content, end in fields(data, 0, len(data))] == [
        (1, b"\xac\x02"),
        (2, bytes(8)),
        (3, b"hi"),
        (4, bytes(4)),
        (2000, b"!"),
    ]
