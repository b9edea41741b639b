"""Validation of a fine-tuned model: scores on its recipe's validation set, and GLUE submission files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mbert_onnx.bundles.types import Progress
from mbert_onnx.errors import UsageError
from mbert_onnx.training.data.custom import CUSTOM_TASKS
from mbert_onnx.training.data.glue import TASKS
from mbert_onnx.training.evaluation.evaluator import evaluate
from mbert_onnx.training.evaluation.result import Evaluation
from mbert_onnx.training.evaluation.submission import write_submission
from mbert_onnx.training.inputs.task_rows import columns_of
from mbert_onnx.training.loop.run_folder import Run
from mbert_onnx.training.recipe import FinetuneRecipe, read_recipe


def validate(recipe: str | Path, *, progress: Progress | None = None) -> list[Evaluation]:
    """Returns the scores of a recipe's model on its validation set; empty if the recipe has no validation set.

    Raises the errors of `evaluate`.
    """
    read = read_recipe(Path(recipe), FinetuneRecipe)
    data, columns = read.data, columns_of(read.data)
    where: str | Path | None = "hub" if data.hub else data.folder if data.task in TASKS else data.validation
    if data.task in CUSTOM_TASKS and where is not None:
        columns = replace(columns, every=None)
    elif data.task in CUSTOM_TASKS and columns.every is not None:
        where = data.train
    if where is None:
        return []
    return evaluate(
        Run(read.output).model,
        task=data.task,
        data=where,
        columns=columns if data.task in CUSTOM_TASKS else None,
        max_length=data.max_length,
        seed=read.seed,
        progress=progress,
    )


def submit(recipe: str | Path, output: str | Path, *, progress: Progress | None = None) -> list[Path]:
    """Writes the GLUE submission files of a recipe's model to a folder and returns their paths.

    Raises UsageError for a task that is not in GLUE.
    """
    read = read_recipe(Path(recipe), FinetuneRecipe)
    if read.data.task not in TASKS:
        raise UsageError(f"--leaderboard is for tasks of GLUE, but data.task is {read.data.task}; leave the option out")
    return write_submission(
        Run(read.output).model,
        read.data.task,
        "hub" if read.data.hub else read.data.folder or "",
        Path(output),
        max_length=read.data.max_length,
        progress=progress or (lambda _: None),
    )
