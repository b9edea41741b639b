"""GLUE submission files: one prediction for each text of a task's test sets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from mbert_onnx.bundles.atomic import atomic_file, write_errors
from mbert_onnx.errors import DataError, TrainingError
from mbert_onnx.runtime.native_kernels import PORTABLE
from mbert_onnx.text.tasks import TEXT_CLASSIFICATION
from mbert_onnx.training.data.glue import BINARY, DIAGNOSTIC, HIGHEST, LOWEST, GlueTask, glue_task
from mbert_onnx.training.data.source import glue_split
from mbert_onnx.training.evaluation.classification import logits_of, predictions_of, rows_of
from mbert_onnx.training.evaluation.evaluated_model import EvaluatedModel, ModelOpener

ADVICE = "choose another folder"


def write_submission(
    model: str | Path,
    task: str,
    data: str | Path,
    output: Path,
    *,
    max_length: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Writes the submission files of a GLUE task. An MNLI model also answers the diagnostic set if it is in the folder.

    Args:
        model: Checkpoint or bundle that was trained for the task.
        task: Task of GLUE.
        data: GLUE's folder, or `hub`.
        output: Output folder.
        max_length: Largest number of tokens in a row.
        progress: Called with a line at the start of each stage.

    Raises UsageError for an unknown task, DataError for a missing test set, TrainingError if the folder cannot be
    written.
    """
    glue = glue_task(task)
    written: list[Path] = []
    with ExitStack() as stack:
        opener = ModelOpener(
            stack,
            task=TEXT_CLASSIFICATION,
            max_length=max_length,
            threads=1,
            kernels=PORTABLE,
            seed=0,
            progress=progress,
        )
        opened = opener.open(str(model))
        for split, name in glue.submissions.items():
            written.append(_write(opened, glue, split, data, output / name, progress))
        if glue.name == "mnli":
            try:
                written.append(_write(opened, DIAGNOSTIC, "test", data, output / "AX.tsv", progress))
            except DataError as error:
                progress(f"the diagnostic set is skipped: {error}")
    return written


def _write(
    model: EvaluatedModel,
    task: GlueTask,
    split: str,
    data: str | Path,
    path: Path,
    progress: Callable[[str], None],
) -> Path:
    read = glue_split(task, data, split)
    progress(f"{task.name}, {split}: {len(read.examples)} texts")
    rows, _ = rows_of(model, read.examples)
    predictions = predictions_of(model, logits_of(model, rows), task.labels)
    lines = [
        f"{example.id}\t{_as_submitted(value, task)}\n"
        for example, value in zip(read.examples, predictions, strict=True)
    ]
    with write_errors(path, TrainingError, advice=ADVICE):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, TrainingError, advice=ADVICE) as partial:
        partial.write_text("index\tprediction\n" + "".join(lines), encoding="utf-8")
    return path


def _as_submitted(value: float, task: GlueTask) -> str:
    """Formats a prediction for the server: a label name, 0 or 1, or a score with three decimals."""
    if task.labels is None:
        return f"{np.clip(value, LOWEST, HIGHEST):.3f}"
    return str(int(value)) if task.labels == BINARY else task.labels[int(value)]
