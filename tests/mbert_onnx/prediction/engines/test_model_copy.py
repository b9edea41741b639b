"""Copies of models for other machines: the files that `load` reads, unpacked once, and again where they are damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from text_bundles import write_text_file

from mbert_onnx import load
from mbert_onnx.prediction.engines.cluster.model_copy import pack, unpack, unpacked

TEXT = "grace built a compiler in new york"


@pytest.fixture
def bundle(runtime_bundle: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that may be changed, and a cache of its own."""
    monkeypatch.setenv("MBERT_ONNX_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(runtime_bundle("text-classification").folder, tmp_path / "bundle"))


def answer(model: Path) -> Any:
    return load(model).classify(TEXT)


def test_a_copy_has_the_weights_beside_the_graph_and_nothing_else(bundle: Path, tmp_path: Path) -> None:
    file = bundle / "onnx" / "model.onnx"
    expected = answer(bundle)
    onnx.save_model(onnx.load(file), file, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    (bundle / "onnx" / "other.onnx").write_bytes(b"")
    packed = pack(str(bundle))
    assert packed is not None
    shutil.rmtree(bundle)
    copy, archive = packed
    assert unpacked(copy) is None
    path = unpack(copy, archive)
    assert answer(path) == expected
    assert unpacked(copy) == path
    names = {found.name for found in path.parents[1].rglob("*") if found.is_file()}
    assert {"model.onnx", "model.onnx.data", "config.json", "tokenizer.json"} <= names
    assert "other.onnx" not in names


def test_a_damaged_copy_is_replaced(bundle: Path) -> None:
    packed = pack(str(bundle))
    assert packed is not None
    path = unpack(*packed)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert unpacked(packed[0]) is None
    assert unpack(*packed).read_bytes() == content


@pytest.mark.full
def test_of_a_text_file_nothing_else_is_copied(bundle: Path) -> None:
    write_text_file(bundle)
    file = bundle / "onnx" / "model_text.onnx"
    packed = pack(str(file))
    assert packed is not None
    path = unpack(*packed)
    assert answer(path).label == answer(file).label
    assert [found.name for found in path.parent.iterdir()] == [file.name]


def test_the_built_in_model_is_not_sent() -> None:
    assert pack("reference") is None
