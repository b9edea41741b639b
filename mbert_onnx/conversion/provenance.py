"""Provenance of a bundle: `mbert_onnx.json`, the producer's name in the model file, versions, durations of stages."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx_ir as ir

from graphs.errors import GraphError
from graphs.model.loading import read_model
from mbert_onnx import __version__
from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.bundles.records import FILE, METADATA, TEXT, TEXT_VARIANTS, VARIANTS, Records
from mbert_onnx.bundles.types import Progress
from mbert_onnx.conversion.reports import ExportReport
from mbert_onnx.model.checkpoint import Checkpoint
from mbert_onnx.text.sentence_embedding import EmbeddingSettings

# Version of the format of `mbert_onnx.json`.
METADATA_SCHEMA = 1

# Packages whose versions are recorded.
PACKAGES = ("mbert-onnx", "torch", "transformers", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")


class StageClock:
    """Measures the duration of each stage, and reports a line at its start.

    Args:
        progress: Called with the line.
    """

    def __init__(self, progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress: Progress = progress or (lambda _: None)
        self._stage: str | None = None
        self._since = 0.0

    def start(self, stage: str, line: str) -> None:
        """Ends the stage before, and starts this one."""
        self.stop()
        self._stage, self._since = stage, time.perf_counter()
        self._progress(line)

    def stop(self) -> None:
        """Ends the current stage."""
        if self._stage is not None:
            self.seconds[self._stage] = round(time.perf_counter() - self._since, 2)
        self._stage = None


# The key of a model file's metadata that says that padding does not change its answers.
IGNORES_PADDING = "ignores_padding"


def sign(model: ir.Model, task: str, *, ignores_padding: bool = False) -> None:
    """Writes the producer, the task, and whether padding is ignored, into a model."""
    model.producer_name, model.producer_version = "mbert-onnx", __version__
    model.metadata_props.update({"task": task})
    if ignores_padding:
        model.metadata_props[IGNORES_PADDING] = "true"


def ignores_padding(path: Path) -> bool:
    """Returns whether a model file says that padding does not change its answers. False for one that is not read."""
    try:
        return read_model(path).metadata_props.get(IGNORES_PADDING) == "true"
    except GraphError:  # onnxruntime's error is the one that counts
        return False


def write_metadata(
    folder: Path,
    report: ExportReport,
    checkpoint: Checkpoint,
    hashes: dict[str, str],
    shapes: Shapes,
    seed: int,
    embedding: EmbeddingSettings | None = None,
) -> None:
    """Writes the `mbert_onnx.json` of a bundle of one precision.

    Args:
        folder: The bundle, with all its other files.
        report: The report of its export.
        checkpoint: Its checkpoint.
        hashes: The SHA-256 of the checkpoint's parts.
        shapes: The sizes of the graph's inputs.
        seed: The seed of random weights.
        embedding: The settings of a model of sentence-transformers; None for others.
    """
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    record = _record(report, checkpoint, shapes, seed)
    if embedding is not None:
        record["sentence_embedding"] = embedding.as_dict()
    Records(hashes, {report.precision: record}, tuple(sorted({*files, METADATA}))).write(folder)


def _record(report: ExportReport, checkpoint: Checkpoint, shapes: Shapes, seed: int) -> dict[str, Any]:
    record = {
        "schema": METADATA_SCHEMA,
        FILE: VARIANTS[report.precision],
        "task": report.task,
        # Of a folder only the name: the path before it means nothing on another machine.
        "checkpoint": checkpoint.name if checkpoint.folder is None else Path(checkpoint.name).name,
        "seed": seed,
        "target": report.target,
        "opset": report.opset,
        "precision": report.precision,
        "shapes": {"batch": shapes.batch, "choices": shapes.choices, "sequence": shapes.seq_len},
        "passes": [asdict(entry) for entry in report.ledger],
        "restarts": report.restarts,
        "activations": None if report.plan is None else report.plan.as_dict(),
        "verification": report.verdict.as_dict(),
        "padding": None if report.padding is None else report.padding.as_dict(),
        "graph": report.census.as_dict(),
        "notes": report.notes,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }
    if report.text is not None:
        record[TEXT] = {FILE: TEXT_VARIANTS[report.precision], **report.text.as_dict()}
    return record


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
