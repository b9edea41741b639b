"""How big a model is on disk, and which one it was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

ORT_FORMAT = ".ort"
"""onnxruntime's own format: no ONNX, and always one file."""


@dataclass(frozen=True)
class ModelFile:
    """Bytes of the file and of the external data it refers to; SHA-256 of the file alone, in hex."""

    size_bytes: int
    sha256: str


def describe(path: Path) -> ModelFile:
    """Size and hash of a model that onnxruntime has already loaded."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    beside = set() if path.suffix == ORT_FORMAT else _external_files(path)
    return ModelFile(path.stat().st_size + sum(other.stat().st_size for other in beside), digest)


def _external_files(path: Path) -> set[Path]:
    return {
        Path(value.const_value.path).resolve()
        for graph in ir.load(path).graphs()
        for value in graph.initializers.values()
        if isinstance(value.const_value, ir.ExternalTensor)
    }
