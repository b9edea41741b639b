"""Size and hash of model files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from perf_models import token_model

from perf.files import describe


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


def test_ort_format_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "a.ort"
    path.write_bytes(b"a flatbuffer")
    assert describe(path).size_bytes == 12


def test_weights_of_openvino_count(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<net/>")
    path.with_suffix(".bin").write_bytes(b"weights")
    found = describe(path)
    assert (found.size_bytes, found.sha256) == (13, hashlib.sha256(b"<net/>").hexdigest())
