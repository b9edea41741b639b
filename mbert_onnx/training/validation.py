"""What a fine-tuned model is worth: its recipe's own validation set, and GLUE's files for the test sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mbert_onnx.errors import UsageError
from mbert_onnx.training.data.custom import OWN
from mbert_onnx.training.data.glue import TASKS
from mbert_onnx.training.evaluation.evaluator import evaluate
from mbert_onnx.training.evaluation.result import Evaluation
from mbert_onnx.training.inputs.task_rows import columns_of
from mbert_onnx.training.leaderboard import write_submission
from mbert_onnx.training.loop.run_folder import Run
from mbert_onnx.training.recipe import FinetuneRecipe, read_recipe

Progress = Callable[[str], None]


def validate(recipe: str | Path, *, progress: Progress | None = None) -> list[Evaluation]:
    """The scores of a recipe's model on its validation set; none where the recipe has no such set.

    Raises what `evaluate` raises.
    """
    read = read_recipe(Path(recipe), FinetuneRecipe)
    data, columns = read.data, columns_of(read.data)
    where: str | Path | None = "hub" if data.hub else data.folder if data.task in TASKS else data.validation
    if data.task in OWN and where is not None:
        columns = replace(columns, every=None)
    elif data.task in OWN and columns.every is not None:
        where = data.train
    if where is None:
        return []
    return evaluate(
        Run(read.output).model,
        task=data.task,
        data=where,
        columns=columns if data.task in OWN else None,
        max_length=data.max_length,
        seed=read.seed,
        progress=progress,
    )


def submit(recipe: str | Path, output: str | Path, *, progress: Progress | None = None) -> list[Path]:
    """Writes GLUE's submission files of a recipe's model to a folder; gives their paths.

    Raises UsageError for a task that is none of GLUE's.
    """
    read = read_recipe(Path(recipe), FinetuneRecipe)
    if read.data.task not in TASKS:
        raise UsageError(f"--leaderboard is GLUE's, and data.task is {read.data.task}; leave it out")
    return write_submission(
        Run(read.output).model,
        read.data.task,
        "hub" if read.data.hub else read.data.folder or "",
        Path(output),
        max_length=read.data.max_length,
        progress=progress or (lambda _: None),
    )
