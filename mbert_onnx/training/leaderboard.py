"""The files that GLUE's server takes: a prediction for each text of the test sets."""

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
from mbert_onnx.training.evaluation.contestant import Contestant, Opening

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
    """Writes a task's files for the leaderboard; a model of MNLI answers the diagnostic set, too, where that is there.

    Args:
        model: A checkpoint or bundle, trained for the task.
        task: One of GLUE's.
        data: GLUE's folder, or `hub`.
        output: The folder to write to.
        max_length: The most tokens of a row.
        progress: Called with a line at the start of each stage.

    Raises UsageError for a task that is none, DataError for a test set that is missing, TrainingError where the folder
    cannot be written.
    """
    glue = glue_task(task)
    written: list[Path] = []
    with ExitStack() as stack:
        opening = Opening(
            stack,
            task=TEXT_CLASSIFICATION,
            max_length=max_length,
            threads=1,
            kernels=PORTABLE,
            seed=0,
            progress=progress,
        )
        contestant = opening.open(str(model))
        for split, name in glue.submissions.items():
            written.append(_write(contestant, glue, split, data, output / name, progress))
        if glue.name == "mnli":
            try:
                written.append(_write(contestant, DIAGNOSTIC, "test", data, output / "AX.tsv", progress))
            except DataError as error:
                progress(f"without the diagnostic set: {error}")
    return written


def _write(
    contestant: Contestant,
    task: GlueTask,
    split: str,
    data: str | Path,
    path: Path,
    progress: Callable[[str], None],
) -> Path:
    read = glue_split(task, data, split)
    progress(f"{task.name}, {split}: {len(read.examples)} texts")
    rows, _ = rows_of(contestant, read.examples)
    said = predictions_of(contestant, logits_of(contestant, rows), task.labels)
    lines = [
        f"{example.id}\t{_as_submitted(value, task)}\n" for example, value in zip(read.examples, said, strict=True)
    ]
    with write_errors(path, TrainingError, advice=ADVICE):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, TrainingError, advice=ADVICE) as partial:
        partial.write_text("index\tprediction\n" + "".join(lines), encoding="utf-8")
    return path


def _as_submitted(value: float, task: GlueTask) -> str:
    """Names of labels where the server wants them, numbers else, scores with three digits."""
    if task.labels is None:
        return f"{np.clip(value, LOWEST, HIGHEST):.3f}"
    return str(int(value)) if task.labels == BINARY else task.labels[int(value)]
