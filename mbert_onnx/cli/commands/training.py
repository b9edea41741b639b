"""Commands `pretrain`, `distill` and `finetune`: trainings defined by recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.cli.printing.progress import progress, training_progress

Recipe = Annotated[
    Path,
    typer.Argument(
        metavar="RECIPE",
        help="Recipe of the training, a TOML file. docs/training.md explains its keys; examples are in "
        "examples/recipes of the repository.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Train anew and replace the run in the output folder. Default: resume an unfinished run."
    ),
]


def pretrain(recipe: Recipe, overwrite: Overwrite = False) -> None:
    """Pre-train a teacher or student on masked words and next sentences, without knowledge transfer.

    An unfinished run of the same recipe is resumed. Prints the folder of the trained model.
    """
    pretrain = mbert_onnx.pretrain  # before the progress, whose packages may be missing, too
    with training_progress() as report_progress:
        model = pretrain(recipe, overwrite=overwrite, tell=report_progress)
    if _is_main_process():
        print(model)


def distill(
    recipe: Recipe,
    overwrite: Overwrite = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print each stage with its steps and trained parameters, and train nothing."),
    ] = False,
) -> None:
    """Train a student with a teacher, by progressive, joint or auxiliary knowledge transfer.

    An unfinished run of the same recipe is resumed. Prints the folder of the trained student.
    """
    if dry_run:
        from mbert_onnx.cli.printing.training import print_schedule

        print_schedule(mbert_onnx.schedule(recipe))
        return
    transfer = mbert_onnx.transfer  # before the progress, whose packages may be missing, too
    with training_progress() as report_progress:
        model = transfer(recipe, overwrite=overwrite, tell=report_progress)
    if _is_main_process():
        print(model)


def finetune(
    recipe: Recipe,
    overwrite: Overwrite = False,
    leaderboard: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write predictions for the test sets of a GLUE task to this folder, in the format of GLUE's "
            "server. A complete run is then not trained again. Default: not written.",
        ),
    ] = None,
) -> None:
    """Train a model for GLUE, SQuAD or a custom file, and print its scores on the validation set.

    An unfinished run of the same recipe is resumed. Prints the folder of the trained model.
    """
    finetune = mbert_onnx.finetune  # before the progress, whose packages may be missing, too
    from mbert_onnx.cli.printing.training import print_evaluations

    with training_progress() as report_progress:
        model = finetune(recipe, overwrite=overwrite, reuse=leaderboard is not None, tell=report_progress)
    if not _is_main_process():
        return
    print(model)
    with progress() as report_line:
        scores = mbert_onnx.validate(recipe, progress=report_line)
        files = [] if leaderboard is None else mbert_onnx.submit(recipe, leaderboard, progress=report_line)
    print_evaluations(scores)
    for path in files:
        print(path)


def _is_main_process() -> bool:
    """True if this is the process that prints, if `accelerate launch` has started several."""
    from accelerate import PartialState

    return bool(PartialState().is_main_process)
