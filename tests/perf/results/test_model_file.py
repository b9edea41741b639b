"""Size and hash of model files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from perf_models import token_model

from perf.results.model_file import describe


def test_one_file(tmp_path: Path) -> None:
    path = token_model(tmp_path / "a.onnx")
    (tmp_path / "a.onnx.data").write_bytes(b"of another model")
    content = path.read_bytes()
    found = describe(path)
    assert (found.size_bytes, found.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_external_data_counts(tmp_path: Path) -> None:
    path = token_model(tmp_path / "a.onnx", external=True)
    beside = tmp_path / "a.onnx.data"
    assert beside.stat().st_size > 0
    assert describe(path).size_bytes == path.stat().st_size + beside.stat().st_size


@pytest.mark.parametrize("suffix", ["ort", "tflite", "safetensors", "mnn", "pte", "vmfb", "so"])
def test_other_formats_are_not_parsed(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"a flatbuffer")
    assert describe(path).size_bytes == 12


@pytest.mark.parametrize("suffix", ["xml", "param"])
def test_weights_beside_a_graph_count(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text("<net/>")
    path.with_suffix(".bin").write_bytes(b"weights")
    found = describe(path)
    assert (found.size_bytes, found.sha256) == (13, hashlib.sha256(b"<net/>").hexdigest())
