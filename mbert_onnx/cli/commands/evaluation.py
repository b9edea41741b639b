"""Command `evaluate`: scores of models on labelled texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.cli.options import MAX_SEED, Kernels, names
from mbert_onnx.cli.printing.progress import progress
from mbert_onnx.runtime.size_limits import MAX_THREADS

CUSTOM_GROUP = "Custom file (--task classification, regression, retrieval or sts)"

# Default columns by task: the text, the second text and the label.
CUSTOM_COLUMNS: dict[str, tuple[str, str | None, str | None]] = {
    "classification": ("text", None, "label"),
    "regression": ("text", None, "label"),
    "retrieval": ("question", "context", None),
    "sts": ("sentence1", "sentence2", "score"),
}


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Checkpoints, which run in torch, or models as in bench: bundles, .onnx files inside a bundle, "
            "native:MODEL, portable:MODEL, int8:CHECKPOINT and others. All are compared with the first.",
        ),
    ],
    task: Annotated[
        str,
        typer.Option(
            metavar="TASK",
            help="cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte or wnli (GLUE); squad or squad_v2; classification or "
            "regression for a custom file; for embeddings retrieval (questions against paragraphs, as in SQuAD's file "
            "or a custom one) or sts (pairs of texts with a similarity).",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="GLUE's folder, SQuAD's .json, a custom .tsv, .csv or .jsonl, or hub to download GLUE or SQuAD.",
        ),
    ],
    split: Annotated[
        str,
        typer.Option(
            metavar="SPLIT",
            help="Split to evaluate, for GLUE and the hub: validation, train, or a name such as validation_matched.",
        ),
    ] = "validation",
    text: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=CUSTOM_GROUP,
            help="Text column. Default: text; question for retrieval, sentence1 for sts.",
        ),
    ] = None,
    pair: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=CUSTOM_GROUP,
            help="Column of the second text. Default: one text per row; context for retrieval, sentence2 for sts.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=CUSTOM_GROUP,
            help="Label column. Default: label; score for sts, none for retrieval.",
        ),
    ] = None,
    row_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="COLUMN",
            rich_help_panel=CUSTOM_GROUP,
            help="Column of the row id, an integer for --held-out-every. Default: rows are numbered from 0.",
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...",
            rich_help_panel=CUSTOM_GROUP,
            help="Names of the labels in the order of their numbers. Default: the labels in the file, sorted.",
        ),
    ] = None,
    above: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            rich_help_panel=CUSTOM_GROUP,
            help="Threshold for a numeric --label: positive above this number, else negative. Default: label names.",
        ),
    ] = None,
    held_out_every: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            rich_help_panel=CUSTOM_GROUP,
            help="Use only the held-out rows: those whose --id is a multiple of N. Default: all rows.",
        ),
    ] = None,
    first: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Use only the first N texts, for retrieval questions, which search all paragraphs. Default: all.",
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=8,
            metavar="N",
            help="Largest number of tokens in a row. Default: 384 for SQuAD, else the model's own limit.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=MAX_THREADS, metavar="N", help="Threads per model.")] = 1,
    kernels: Kernels = "auto",
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=MAX_SEED,
            metavar="N",
            help="Seed of the resampling for intervals, of the order in which models are timed, and of the weights of "
            "the built-in random models.",
        ),
    ] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the result to this file, as JSON.")
    ] = None,
) -> None:
    """Print the scores of models on labelled texts, their agreement with the first model, and their time per text."""
    from mbert_onnx.cli.printing.training import print_evaluations

    columns = None
    if task in CUSTOM_COLUMNS:
        named = names(labels)
        first_text, second_text, number = CUSTOM_COLUMNS[task]
        columns = mbert_onnx.Columns(
            text=text or first_text,
            pair=pair or second_text,
            label=label or number,
            id=row_id,
            labels=None if named is None else tuple(named),
            above=above,
            regression=task in ("regression", "sts"),
            every=held_out_every,
        )
    with progress() as report_progress:
        found = mbert_onnx.evaluate(
            models,
            task=task,
            data=data,
            split=split,
            columns=columns,
            first=first,
            max_length=max_length,
            threads=threads,
            kernels=kernels,
            seed=seed,
            json=json_file,
            progress=report_progress,
        )
    print_evaluations(found)
