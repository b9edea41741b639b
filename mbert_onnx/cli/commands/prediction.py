"""Command `predict`: a bundle answers the rows of whole files."""

from __future__ import annotations

import json
from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.cli.commands.runtime import AGGREGATIONS
from mbert_onnx.cli.options import Json, Kernels
from mbert_onnx.runtime.size_limits import MAX_THREADS

COLUMNS_GROUP = "Columns"
ANSWERS_GROUP = "Answers"
MACHINES_GROUP = "Machines"
FORMATS = "csv|tsv|jsonl|parquet|txt"


def predict(
    bundle: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A bundle, an .onnx file in one, or a built-in model: reference, reference:embed."
        ),
    ],
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="One or more files or folders with the texts: .csv, .tsv, .jsonl, .parquet or lines of .txt, those of "
            "text also as .gz; local paths, or URIs such as s3://BUCKET/FILE.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write: .csv, .tsv, .jsonl or .parquet, those of text also as .gz; also a URI.",
        ),
    ],
    text: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=COLUMNS_GROUP,
            help="Column with the text, or with the prompt of multiple-choice. Default: text, or the only column.",
        ),
    ] = None,
    pair: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=COLUMNS_GROUP,
            help="text-classification, next-sentence-prediction: column with the second text. Default of the latter: "
            "pair.",
        ),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=COLUMNS_GROUP,
            help="question-answering: column with the question. Default: question.",
        ),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=COLUMNS_GROUP,
            help="question-answering: column with the text that holds the answer. Default: context.",
        ),
    ] = None,
    choice: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=COLUMNS_GROUP,
            help="multiple-choice: column with a choice; repeat it for each choice.",
        ),
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            rich_help_panel=COLUMNS_GROUP,
            help="Beginning of the names of the answer's columns, such as predicted_. Default: none.",
        ),
    ] = "",
    format: Annotated[
        str | None,
        typer.Option(
            metavar=FORMATS,
            rich_help_panel=COLUMNS_GROUP,
            help="Format of the input. Default: by the names of the files.",
        ),
    ] = None,
    all_scores: Annotated[
        bool,
        typer.Option(
            "--all",
            rich_help_panel=ANSWERS_GROUP,
            help="Write the scores of all labels or choices, not of the best only.",
        ),
    ] = False,
    top_k: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", rich_help_panel=ANSWERS_GROUP, help="fill-mask: words for each mask. Default: 5."
        ),
    ] = None,
    max_answer_len: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=ANSWERS_GROUP,
            help="question-answering: longest answer, in tokens. Default: 15.",
        ),
    ] = None,
    no_answer: Annotated[
        bool,
        typer.Option(
            "--no-answer",
            rich_help_panel=ANSWERS_GROUP,
            help="question-answering: the answer may be that the context has none.",
        ),
    ] = False,
    aggregation: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(AGGREGATIONS),
            rich_help_panel=ANSWERS_GROUP,
            help="token-classification: as in run. Default: simple.",
        ),
    ] = None,
    normalize: Annotated[
        bool,
        typer.Option(
            "--normalize", rich_help_panel=ANSWERS_GROUP, help="feature-extraction: scale embeddings to length 1."
        ),
    ] = False,
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|ray",
            rich_help_panel=MACHINES_GROUP,
            help="local answers in processes of this machine, ray on the nodes of a Ray cluster.",
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            rich_help_panel=MACHINES_GROUP,
            help="Head node of the Ray cluster. Default: RAY_ADDRESS, this machine's cluster, or this machine alone.",
        ),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            rich_help_panel=MACHINES_GROUP,
            help="Number of processes. auto tries for two seconds whether one with all threads is faster. Default: one "
            "for each core, of the cluster with --engine ray.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_THREADS, metavar="N", help="Number of threads of each process. Default: 1."),
    ] = None,
    kernels: Kernels = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first row that cannot be processed.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace a finished output, and discard an unfinished one of another job."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Answer every row of files, and write the rows with their answers.

    A run that was killed continues when the same command is given again: finished parts are in FILE.parts until then.
    Rows that cannot be processed are listed in FILE.errors.jsonl, and the rest continues.
    """
    from mbert_onnx.cli.printing.prediction import prediction_progress, print_prediction

    with prediction_progress() as (progress, notes):
        report = mbert_onnx.predict(
            bundle,
            files,
            output,
            text=text,
            pair=pair,
            question=question,
            context=context,
            choice=choice or (),
            input_format=format,
            all_scores=all_scores,
            top_k=top_k,
            max_answer_len=max_answer_len,
            handle_impossible_answer=no_answer,
            aggregation=aggregation,
            normalize=normalize,
            prefix=prefix,
            engine=engine,
            address=address,
            workers=_workers(workers),
            threads=threads,
            kernels=kernels,
            strict=strict,
            overwrite=overwrite,
            progress=progress,
            notes=notes,
        )
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print_prediction(report)
    if report.bad and not report.rows:
        raise mbert_onnx.DataError(
            f"none of the {report.bad:,} rows could be processed; {report.errors} has the reasons"
        )


def _workers(value: str | None) -> int | str | None:
    """Returns the value of --workers as a number where it is one; the function refuses what is neither."""
    return int(value) if value is not None and value.isascii() and value.isdigit() else value
