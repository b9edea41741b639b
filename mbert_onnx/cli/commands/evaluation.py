"""`evaluate`: models on labelled texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.cli.options import Kernels, Seed, names
from mbert_onnx.cli.printing.progress import progress


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Checkpoints, which run in torch, bundles, .onnx files inside one, or what bench takes: "
            "native:MODEL, portable:MODEL, int8:CHECKPOINT … All are compared with the first.",
        ),
    ],
    task: Annotated[
        str,
        typer.Option(
            help="cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli, squad, squad_v2; classification or regression "
            "for a file of your own."
        ),
    ],
    data: Annotated[str, typer.Option(help="GLUE's folder, SQuAD's file, your own .tsv, .csv or .jsonl, or hub.")],
    split: Annotated[str, typer.Option(help="Of GLUE and the hub.")] = "validation",
    text: Annotated[str, typer.Option(help="Your file's column of texts.")] = "text",
    pair: Annotated[str | None, typer.Option(help="That of second texts.")] = None,
    label: Annotated[str, typer.Option(help="That of labels.")] = "label",
    row_id: Annotated[str | None, typer.Option("--id", help="That of the rows' own names.")] = None,
    labels: Annotated[
        list[str] | None, typer.Option(help="The labels' names, by number, with commas. Default: those of the file.")
    ] = None,
    above: Annotated[
        float | None, typer.Option(help="Labels are positive where the number in --label is above this, else negative.")
    ] = None,
    held_out_every: Annotated[
        int | None, typer.Option(min=2, help="Only the rows whose --id this divides: those that were held out.")
    ] = None,
    first: Annotated[int | None, typer.Option(help="Only so many texts.")] = None,
    max_length: Annotated[
        int | None, typer.Option(min=8, help="The most tokens of a row. Default: the model's own; 384 for SQuAD.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="How many a model may use.")] = 1,
    kernels: Kernels = "auto",
    seed: Seed = 0,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all of it here, too.")] = None,
) -> None:
    """Tell how well models do on labelled texts, how far they agree, and how long a text takes."""
    from mbert_onnx.cli.printing.training import print_evaluations

    columns = None
    if task in ("classification", "regression"):
        named = names(labels)
        columns = mbert_onnx.Columns(
            text=text,
            pair=pair,
            label=label,
            id=row_id,
            labels=None if named is None else tuple(named),
            above=above,
            regression=task == "regression",
            every=held_out_every,
        )
    with progress() as told:
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
            progress=told,
        )
    print_evaluations(found)
