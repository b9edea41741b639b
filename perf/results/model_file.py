"""How big a model is on disk, and which one it was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

ONE_FILE = (".ort", ".tflite", ".safetensors", ".mnn", ".pte", ".vmfb", ".so")
"""onnxruntime's own, LiteRT's, a checkpoint's weights, MNN's, ExecuTorch's, IREE's and TVM's: always one file."""

GRAPH_ALONE = (".xml", ".param")
"""OpenVINO's and ncnn's: a graph, and its weights beside it."""

WEIGHTS = ".bin"


@dataclass(frozen=True)
class ModelFile:
    """Bytes of the file and of the weights beside it that it refers to; SHA-256 of the file alone, in hex."""

    size_bytes: int
    sha256: str


def describe(path: Path) -> ModelFile:
    """Size and hash of a model that its runtime has already loaded."""
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
