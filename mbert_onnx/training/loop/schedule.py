"""The stages of a training one after the other, from wherever its run was left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate
from pathlib import Path

from accelerate import Accelerator
from torch import nn

from mbert_onnx.text.tasks import Task
from mbert_onnx.training.inputs.models import save_model
from mbert_onnx.training.loop.curves import Curves
from mbert_onnx.training.loop.run_folder import Position, Run
from mbert_onnx.training.loop.stage import StageOfTraining, Tell, train_stage
from mbert_onnx.training.recipe import TrainingTable


def opened(run: Run, recipe: Path, accelerator: Accelerator, *, overwrite: bool) -> AbstractContextManager[None]:
    """`run.opened` with the text of a recipe, in the main process; the others find what it has made."""
    if not accelerator.is_main_process:
        return nullcontext()
    return run.opened(recipe.read_text(encoding="utf-8"), overwrite=overwrite)


def train_stages(
    steps: Sequence[int],
    stage_of: Callable[[int], StageOfTraining],
    *,
    accelerator: Accelerator,
    table: TrainingTable,
    run: Run,
    seed: int,
    tell: Tell,
    model: nn.Module,
    task: Task,
) -> None:
    """Trains all stages, and writes the model that they train, which is then the run's.

    Args:
        steps: How many each has.
        stage_of: A stage by its number, made when its turn has come.
        accelerator, table, run, seed, tell: As `train_stage` takes them.
        model, task: What is written, and what it answers.
    """
    start = run.position()
    before = [0, *accumulate(steps)][:-1]
    main = accelerator.is_main_process
    if main:
        run.settle()
    curves = Curves(run.folder, start or Position(0, 0), before) if main else None
    try:
        for number in range(len(steps)):
            # A stage that is done is skipped, but for the last of them, whose weights the next one begins with.
            if start is None or number >= start.stage:
                train_stage(
                    stage_of(number),
                    accelerator=accelerator,
                    table=table,
                    run=run,
                    curves=curves,
                    start=start,
                    seed=seed,
                    tell=tell,
                )
        if curves is not None:
            curves.draw()
    finally:
        if curves is not None:
            curves.close()
    if main:
        run.finish(lambda folder: save_model(model, task, run.tokenizer, folder))
