"""One stage of a training, on `accelerate`: batches in, steps of the optimizer, checkpoints, curves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import get_scheduler

from mbert_onnx.errors import TrainingError
from mbert_onnx.training.data.batch_sampler import Batches
from mbert_onnx.training.data.row_store import Collate, Rows
from mbert_onnx.training.loop.curves import Curves
from mbert_onnx.training.loop.optimizers import optimizer_of
from mbert_onnx.training.loop.run_folder import Position, Run
from mbert_onnx.training.recipe import TrainingTable

Tell = Callable[[str, int, int, dict[str, float]], None]


@dataclass(frozen=True)
class StageOfTraining:
    """What the loop is to do.

    Args:
        number: Of the stage, from 0.
        name: For people.
        steps: Of the optimizer.
        module: Called with a batch, gives the losses by name; `loss` is the one that is trained.
        rows: What is trained on.
        collate: Makes batches of them.
        rate: What the learning rate of a parameter is multiplied by, given its name in `module`.
        learning_rate: The peak.
    """

    number: int
    name: str
    steps: int
    module: nn.Module
    rows: Rows
    collate: Collate
    rate: Callable[[str], float]
    learning_rate: float


def accelerator_for(table: TrainingTable) -> Accelerator:
    """What runs the training: on whatever `accelerate launch` says, or on what is here.

    Raises TrainingError where the device has no such mixed precision.
    """
    if table.threads:
        torch.set_num_threads(table.threads)
    # One process may train several models, each by its own recipe; accelerate else keeps the first one's precision.
    AcceleratorState._reset_state()
    try:
        return Accelerator(mixed_precision=table.mixed_precision, gradient_accumulation_steps=table.accumulate)
    except (ValueError, ImportError) as error:
        raise TrainingError(f"mixed_precision is {table.mixed_precision}: {' '.join(str(error).split())}") from error


def train_stage(
    stage: StageOfTraining,
    *,
    accelerator: Accelerator,
    table: TrainingTable,
    run: Run,
    curves: Curves | None,
    start: Position | None,
    seed: int,
    tell: Tell,
) -> None:
    """Trains a stage to its end, from `start` where a checkpoint of it is; its module is then the trained one.

    Raises TrainingError where the loss is no number any more: the last checkpoint stays.
    """
    set_seed(seed + stage.number)
    optimizer = optimizer_of(stage.module, table, stage.learning_rate, stage.rate)
    scheduler = get_scheduler(
        table.schedule, optimizer, num_warmup_steps=round(table.warmup * stage.steps), num_training_steps=stage.steps
    )
    module, optimizer = accelerator.prepare(stage.module, optimizer)
    # Not prepared: accelerate would step it once for each process, and its length is counted in steps here.
    accelerator.register_for_checkpointing(scheduler)
    step = 0
    if start is not None and start.stage == stage.number and start.step:
        _load(accelerator, run.checkpoint(start))
        step = start.step
    module.train()
    losses = Means()
    batches = iter(_loader(stage, accelerator, table, step, seed))
    while step < stage.steps:
        for _ in range(table.accumulate):
            with accelerator.accumulate(module):
                found = module(next(batches))
                accelerator.backward(found["loss"])
                losses.add(found)
                if accelerator.sync_gradients and table.clip:
                    accelerator.clip_grad_norm_(module.parameters(), table.clip)
                optimizer.step()
                optimizer.zero_grad()
        scheduler.step()
        step += 1
        if step % table.log_every == 0 or step == stage.steps:
            means = losses.take(accelerator)
            _check(means, stage, step, run)
            if accelerator.is_main_process:
                tell(stage.name, step, stage.steps, means)
            if curves is not None:
                curves.add(Position(stage.number, step), stage.name, means, scheduler.get_last_lr()[0])
        if step % table.save_every == 0 and step < stage.steps:
            _save(accelerator, run, Position(stage.number, step), curves)
    _save(accelerator, run, Position(stage.number, step), curves)
    accelerator.free_memory()
    accelerator._custom_objects.clear()


class Means:
    """The means of losses since they were last taken."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, losses: dict[str, Tensor]) -> None:
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value.detach()
        self._count += 1

    def take(self, accelerator: Accelerator) -> dict[str, float]:
        """Over all processes."""
        names = list(self._sums)
        sums = torch.stack([self._sums[name].float() for name in names]) / self._count
        means = accelerator.reduce(sums, reduction="mean")
        self._sums, self._count = {}, 0
        return dict(zip(names, means.tolist(), strict=True))


def _loader(
    stage: StageOfTraining, accelerator: Accelerator, table: TrainingTable, step: int, seed: int
) -> DataLoader[Any]:
    """The batches from a step on; each process gets its share of every step's."""
    a_step = table.accumulate * accelerator.num_processes
    batches = Batches(
        stage.rows.lengths,
        table.batch_size,
        first=step * a_step,
        count=stage.steps * a_step,
        # Each stage reads in another order.
        seed=seed + stage.number,
    )
    loader: DataLoader[Any] = DataLoader(
        stage.rows,
        batch_sampler=batches,
        collate_fn=stage.collate,
        num_workers=table.workers,
        # Of its own: it would else take a number of torch's, and dropout differ after a checkpoint was loaded.
        generator=torch.Generator().manual_seed(seed),
    )
    prepared: DataLoader[Any] = accelerator.prepare_data_loader(loader)
    return prepared


def _load(accelerator: Accelerator, checkpoint: Path) -> None:
    try:
        accelerator.load_state(str(checkpoint))
    except Exception as error:  # torch's and pickle's, of files that somebody else has touched
        raise TrainingError(
            f"{checkpoint} cannot be read ({' '.join(str(error).split())}); copy it again, or begin again by "
            "--overwrite"
        ) from error


def _save(accelerator: Accelerator, run: Run, position: Position, curves: Curves | None) -> None:
    accelerator.wait_for_everyone()
    if accelerator.num_processes == 1:
        run.save(position, lambda folder: _write(accelerator, folder))
    else:
        _save_together(accelerator, run, position)
    if curves is not None:
        curves.draw()


def _write(accelerator: Accelerator, folder: Path) -> None:
    # As torch.save: safetensors refuse tied weights.
    accelerator.save_state(str(folder), safe_serialization=False)


def _save_together(accelerator: Accelerator, run: Run, position: Position) -> None:
    """Every process writes its own random state; the main one moves the folder when all have."""
    main = accelerator.is_main_process
    shared = run.folder / ".partial-together"
    _write(accelerator, shared)
    accelerator.wait_for_everyone()

    def moved(folder: Path) -> None:
        for path in shared.iterdir():
            path.rename(folder / path.name)
        shared.rmdir()

    if main:
        run.save(position, moved)
    accelerator.wait_for_everyone()


def _check(means: dict[str, float], stage: StageOfTraining, step: int, run: Run) -> None:
    wrong = [name for name, value in means.items() if not math.isfinite(value)]
    if wrong:
        raise TrainingError(
            f"{stage.name}: {wrong[0]} is {means[wrong[0]]} at step {step}; lower learning_rate, or raise warmup. "
            f"{run.folder} has what was trained until its last checkpoint"
        )
