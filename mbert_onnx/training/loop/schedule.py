"""Runs the stages of a training in order and resumes from the last checkpoint."""

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
from mbert_onnx.training.loop.stage import TrainingStage, train_stage
from mbert_onnx.training.progress import TrainingProgress
from mbert_onnx.training.recipe import TrainingTable


def opened(run: Run, recipe: Path, accelerator: Accelerator, *, overwrite: bool) -> AbstractContextManager[None]:
    """Opens the run folder in the main process; a no-op in the others, which use the folder that it created."""
    if not accelerator.is_main_process:
        return nullcontext()
    return run.opened(recipe.read_text(encoding="utf-8"), overwrite=overwrite)


def train_stages(
    steps: Sequence[int],
    stage_of: Callable[[int], TrainingStage],
    *,
    accelerator: Accelerator,
    table: TrainingTable,
    run: Run,
    seed: int,
    progress: TrainingProgress,
    model: nn.Module,
    task: Task,
) -> None:
    """Trains all stages, then writes the trained model to the run folder.

    Args:
        steps: Number of steps of each stage.
        stage_of: Builds a stage by its number, right before it is trained.
        accelerator, table, run, seed, progress: Arguments of `train_stage`.
        model, task: The model that the stages train, and its task.
    """
    start = run.position()
    before = [0, *accumulate(steps)][:-1]
    main = accelerator.is_main_process
    if main:
        run.settle()
    curves = Curves(run.folder, start or Position(0, 0), before) if main else None
    try:
        for number in range(len(steps)):
            # Finished stages are skipped, except the one of the checkpoint, whose weights have to be loaded.
            if start is None or number >= start.stage:
                train_stage(
                    stage_of(number),
                    accelerator=accelerator,
                    table=table,
                    run=run,
                    curves=curves,
                    start=start,
                    seed=seed,
                    progress=progress,
                )
        if curves is not None:
            curves.draw()
    finally:
        if curves is not None:
            curves.close()
    if main:
        run.finish(lambda folder: save_model(model, task, run.tokenizer, folder))
