"""Training loop of one stage on `accelerate`: batches, optimizer steps, checkpoints, loss curves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration, set_seed
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import get_scheduler

from mbert_onnx.errors import TrainingError
from mbert_onnx.model.padding import zero_padding
from mbert_onnx.training.data.batch_sampler import BatchSize
from mbert_onnx.training.data.passages.rows import AnyRows
from mbert_onnx.training.data.row_store import Collate
from mbert_onnx.training.loop.curves import Curves
from mbert_onnx.training.loop.optimizers import optimizer_of
from mbert_onnx.training.loop.run_folder import Position, Run
from mbert_onnx.training.progress import TrainingProgress
from mbert_onnx.training.recipe import TrainingTable


@dataclass(frozen=True)
class TrainingStage:
    """A stage as the loop trains it.

    Args:
        number: Number of the stage, from 0.
        name: Name in progress and curves.
        steps: Number of optimizer steps.
        module: Computes the losses of a batch by name; `loss` is minimized.
        rows: Training rows.
        collate: Builds a batch from rows.
        rate: Returns the factor of a parameter's learning rate, given its name in `module`.
        learning_rate: Peak learning rate.
    """

    number: int
    name: str
    steps: int
    module: nn.Module
    rows: AnyRows
    collate: Collate
    rate: Callable[[str], float]
    learning_rate: float


def accelerator_for(table: TrainingTable) -> Accelerator:
    """Returns the accelerator: the devices of `accelerate launch`, or those of this machine.

    Raises TrainingError if the device does not support the mixed precision.
    """
    if table.threads:
        torch.set_num_threads(table.threads)
    # A process may train several recipes; without the reset accelerate keeps the precision of the first.
    AcceleratorState._reset_state()
    try:
        return Accelerator(
            mixed_precision=table.mixed_precision,
            gradient_accumulation_steps=table.accumulate,
            # Every process has a share of each step; batches of a number of tokens differ in size.
            dataloader_config=DataLoaderConfiguration(even_batches=False),
        )
    except (ValueError, ImportError) as error:
        raise TrainingError(f"mixed_precision is {table.mixed_precision}: {' '.join(str(error).split())}") from error


def train_stage(
    stage: TrainingStage,
    *,
    accelerator: Accelerator,
    table: TrainingTable,
    run: Run,
    curves: Curves | None,
    start: Position | None,
    seed: int,
    progress: TrainingProgress,
) -> None:
    """Trains the module of a stage to its end, from the checkpoint at `start` if that is in this stage.

    Raises TrainingError if a loss is not finite; the last checkpoint stays.
    """
    set_seed(seed + stage.number)
    optimizer = optimizer_of(stage.module, table, stage.learning_rate, stage.rate)
    scheduler = get_scheduler(
        table.schedule, optimizer, num_warmup_steps=round(table.warmup * stage.steps), num_training_steps=stage.steps
    )
    module, optimizer = accelerator.prepare(stage.module, optimizer)
    # Not prepared: accelerate would step a prepared scheduler once per process, but it counts optimizer steps here.
    accelerator.register_for_checkpointing(scheduler)
    step = 0
    if start is not None and start.stage == stage.number and start.step:
        _load(accelerator, run.checkpoint(start))
        step = start.step
    zero_padding(stage.module)  # not zero in a checkpoint of an earlier version
    module.train()
    losses = MeanLosses()
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
                zero_padding(stage.module)
                optimizer.zero_grad()
        scheduler.step()
        step += 1
        if step % table.log_every == 0 or step == stage.steps:
            means = losses.take(accelerator)
            _check(means, stage, step, run)
            if accelerator.is_main_process:
                progress(stage.name, step, stage.steps, means)
            if curves is not None:
                curves.add(Position(stage.number, step), stage.name, means, scheduler.get_last_lr()[0])
        if step % table.save_every == 0 and step < stage.steps:
            _save(accelerator, run, Position(stage.number, step), curves)
    _save(accelerator, run, Position(stage.number, step), curves)
    accelerator.free_memory()
    accelerator._custom_objects.clear()


class MeanLosses:
    """Mean losses since the last call of `take`."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, losses: dict[str, Tensor]) -> None:
        """Adds the losses of one batch."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value.detach()
        self._count += 1

    def take(self, accelerator: Accelerator) -> dict[str, float]:
        """Returns the means over all processes and resets them."""
        names = list(self._sums)
        sums = torch.stack([self._sums[name].float() for name in names]) / self._count
        means = accelerator.reduce(sums, reduction="mean")
        self._sums, self._count = {}, 0
        return dict(zip(names, means.tolist(), strict=True))


def _loader(
    stage: TrainingStage, accelerator: Accelerator, table: TrainingTable, step: int, seed: int
) -> DataLoader[Any]:
    """Returns the batches from a step on; each process gets its share of every step."""
    batches_per_step = table.accumulate * accelerator.num_processes
    batches = stage.rows.batches(
        BatchSize(table.batch_size, table.batch_tokens),
        first=step * batches_per_step,
        count=stage.steps * batches_per_step,
        # Each stage has its own order of rows.
        seed=seed + stage.number,
    )
    loader: DataLoader[Any] = DataLoader(
        stage.rows,
        batch_sampler=batches,
        collate_fn=stage.collate,
        num_workers=table.workers,
        # A separate generator: the default one draws from torch's, which would change dropout after a resume.
        generator=torch.Generator().manual_seed(seed),
    )
    prepared: DataLoader[Any] = accelerator.prepare_data_loader(loader)
    return prepared


def _load(accelerator: Accelerator, checkpoint: Path) -> None:
    try:
        accelerator.load_state(str(checkpoint))
    except Exception as error:  # errors of torch and pickle for damaged files
        raise TrainingError(
            f"{checkpoint} cannot be read ({' '.join(str(error).split())}); copy it again, or start over with "
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
    # torch.save, because safetensors refuses tied weights.
    accelerator.save_state(str(folder), safe_serialization=False)


def _save_together(accelerator: Accelerator, run: Run, position: Position) -> None:
    """Saves a checkpoint of several processes: each writes its random state, then the main one moves the folder."""
    main = accelerator.is_main_process
    shared = run.folder / ".partial-together"
    _write(accelerator, shared)
    accelerator.wait_for_everyone()

    def move_into(folder: Path) -> None:
        for path in shared.iterdir():
            path.rename(folder / path.name)
        shared.rmdir()

    if main:
        run.save(position, move_into)
    accelerator.wait_for_everyone()


def _check(means: dict[str, float], stage: TrainingStage, step: int, run: Run) -> None:
    invalid = [name for name, value in means.items() if not math.isfinite(value)]
    if invalid:
        raise TrainingError(
            f"{stage.name}: {invalid[0]} is {means[invalid[0]]} at step {step}; lower learning_rate, or raise warmup. "
            f"{run.folder} keeps its last checkpoint"
        )
