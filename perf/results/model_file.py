"""Description of a model file: its size on disk, and its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

ONE_FILE = (".ort", ".tflite", ".safetensors", ".mnn", ".pte", ".vmfb", ".so")
"""Formats that are one file: onnxruntime's, LiteRT's, safetensors, MNN's, ExecuTorch's, IREE's and TVM's."""

GRAPH_ALONE = (".xml", ".param")
"""Formats with the graph in one file and the weights in another: OpenVINO's and ncnn's."""

WEIGHTS = ".bin"


@dataclass(frozen=True)
class ModelFile:
    """Size in bytes, external weights included, and SHA-256 in hex of the file without them."""

    size_bytes: int
    sha256: str


def describe(path: Path) -> ModelFile:
    """Computes size and hash of a model file that its runtime can load."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    beside = _files_beside(path)
    return ModelFile(path.stat().st_size + sum(other.stat().st_size for other in beside), digest)


def _files_beside(path: Path) -> set[Path]:
    if path.suffix in ONE_FILE:
        return set()
    if path.suffix in GRAPH_ALONE:
        return {path.with_suffix(WEIGHTS)}
    return {
        Path(value.const_value.path).resolve()
        for graph in ir.load(path).graphs()
        for value in graph.initializers.values()
        if isinstance(value.const_value, ir.ExternalTensor)
    }
