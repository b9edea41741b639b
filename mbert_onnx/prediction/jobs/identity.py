"""Identity of a job: what has to be the same for a killed job to continue."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mbert_onnx
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.bundles.records import CONFIG, TOKENIZER
from mbert_onnx.prediction.reading.layout import Layout
from mbert_onnx.prediction.reading.sources import Source
from mbert_onnx.prediction.settings import Settings

# Ends of the names of files that hold a model's weights.
WEIGHTS = (".data", "_data", ".safetensors")


def identity(bundle: Bundle, settings: Settings, sources: Sequence[Source], layout: Layout) -> dict[str, Any]:
    """Returns a job's inputs, model, columns and options, which JSON can hold.

    The number of workers and threads, the engine and --strict are not among them: a job may continue with others.
    """
    return {
        "inputs": [[source.name, source.size, source.modified] for source in sources],
        "formats": sorted({source.format for source in sources}),
        "model": {"file": bundle.model_path.name, "sha256": _digest(bundle)},
        "columns": {"read": list(layout.arguments), "prefix": settings.prefix},
        "options": {**settings.options, "all": settings.all_scores},
        "version": mbert_onnx.__version__,
    }


def _digest(bundle: Bundle) -> str:
    """Returns a hash of the files that decide a model's answers; of weights outside of the graph their sizes alone."""
    digest = hashlib.sha256()
    beside = bundle.model_path.parent
    files = [bundle.model_path, *(bundle.folder / name for name in (CONFIG, TOKENIZER))]
    for file in files:
        if file.is_file():
            with file.open("rb") as stream:
                digest.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    for file in sorted(beside.iterdir()) if beside.is_dir() else ():
        if file.name.endswith(WEIGHTS):
            digest.update(f"{file.name} {_state(file)}\n".encode())
    return digest.hexdigest()


def _state(file: Path) -> str:
    state = file.stat()
    return f"{state.st_size} {state.st_mtime_ns}"
