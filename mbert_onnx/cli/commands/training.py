"""`pretrain`, `distill`, `finetune`: commands that train, each by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.cli.printing.progress import progress, training_progress

Recipe = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A TOML file; the repository has some in examples/recipes.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Begin again where the run is there already.")]


def pretrain(recipe: Recipe, overwrite: Overwrite = False) -> None:
    """Train a teacher, or any model here, on words behind masks and next sentences. Goes on where it was left."""
    with training_progress() as tell:
        model = mbert_onnx.pretrain(recipe, overwrite=overwrite, tell=tell)
    if _is_main():
        print(model)


def distill(
    recipe: Recipe,
    overwrite: Overwrite = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the stages, their steps and what each trains; train nothing.")
    ] = False,
) -> None:
    """Train a student by a teacher: progressive, joint or auxiliary knowledge transfer. Goes on where it was left."""
    if dry_run:
        from mbert_onnx.cli.printing.training import print_schedule

        print_schedule(mbert_onnx.schedule(recipe))
        return
    with training_progress() as tell:
        model = mbert_onnx.transfer(recipe, overwrite=overwrite, tell=tell)
    if _is_main():
        print(model)


def finetune(
    recipe: Recipe,
    overwrite: Overwrite = False,
    leaderboard: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the files that GLUE's server takes, of the test sets, to a folder."),
    ] = None,
) -> None:
    """Train a model for GLUE, SQuAD or labels of your own, and measure it. Goes on where it was left."""
    from mbert_onnx.cli.printing.training import print_evaluations

    with training_progress() as tell:
        model = mbert_onnx.finetune(recipe, overwrite=overwrite, reuse=leaderboard is not None, tell=tell)
    if not _is_main():
        return
    print(model)
    with progress() as told:
        scores = mbert_onnx.validate(recipe, progress=told)
        files = [] if leaderboard is None else mbert_onnx.submit(recipe, leaderboard, progress=told)
    print_evaluations(scores)
    for path in files:
        print(path)


def _is_main() -> bool:
    """Whether this is the process that speaks, where `accelerate launch` has started several."""
    from accelerate import PartialState

    return bool(PartialState().is_main_process)
