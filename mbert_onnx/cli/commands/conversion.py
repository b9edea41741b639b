"""Commands `export`, `optimize`, `passes` and `verify`: model files are written and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.cli.options import (
    PRECISION_GROUP,
    SHAPE_GROUP,
    TARGETS,
    Calibrate,
    Explain,
    FileOutputs,
    FileTask,
    Functions,
    Json,
    KeepFloat,
    Kernels,
    MinAgreement,
    Only,
    Precision,
    Seed,
    Skip,
    Task,
    Text,
    TextPair,
    TokenizerFile,
    names,
)
from mbert_onnx.cli.printing.progress import progress
from mbert_onnx.runtime.size_limits import MAX_BATCH, MAX_SEQ_LEN


def export(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A folder in transformers' format, a hub id, or a built-in model: reference, reference:embed, random, "
            "random:tiny.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The bundle to write, a folder.")],
    task: Task = None,
    target: Annotated[
        str,
        typer.Option(
            metavar=TARGETS,
            help="Where the file runs: on CPUs, on phones (fixed shapes, int32 inputs), or in browsers.",
        ),
    ] = "cpu",
    seq_len: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_SEQ_LEN,
            metavar="N",
            rich_help_panel=SHAPE_GROUP,
            help="Length of all texts, in tokens; mobile needs it. Default: dynamic.",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_BATCH,
            metavar="N",
            rich_help_panel=SHAPE_GROUP,
            help="Texts per run. Default: dynamic; 1 for the target mobile.",
        ),
    ] = None,
    choices: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_BATCH,
            metavar="N",
            rich_help_panel=SHAPE_GROUP,
            help="Choices per text of the task multiple-choice. Default: dynamic; 4 for the target mobile.",
        ),
    ] = None,
    precision: Precision = "fp32",
    calibrate: Calibrate = None,
    keep_float: KeepFloat = None,
    min_agreement: MinAgreement = None,
    opset: Annotated[
        int, typer.Option(metavar="N", help="ONNX opset, from 18 to the newest that the installed onnxruntime runs.")
    ] = 18,
    functions: Functions = True,
    ignore_padding: Annotated[
        bool,
        typer.Option(
            "--ignore-padding",
            help="Write a graph whose answers do not depend on padding, where the checkpoint's do.",
        ),
    ] = False,
    text: Text = False,
    text_pair: TextPair = False,
    only: Only = None,
    skip: Skip = None,
    explain: Explain = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace this precision, or a bundle of another checkpoint, if it exists."),
    ] = False,
    seed: Seed = 0,
    kernels: Kernels = "auto",
    as_json: Json = False,
) -> None:
    """Export a PyTorch MobileBERT as a bundle: a verified .onnx file, its config and its tokenizer."""
    with progress() as report_progress:
        report = mbert_onnx.export(
            checkpoint,
            output,
            task=task,
            target=target,
            seq_len=seq_len,
            batch=batch,
            choices=choices,
            precision=precision,
            calibrate=calibrate,
            keep_float=names(keep_float) or (),
            min_agreement=min_agreement,
            opset=opset,
            functions=functions,
            only=names(only),
            skip=names(skip) or (),
            overwrite=overwrite,
            seed=seed,
            kernels=kernels,
            ignore_padding=ignore_padding,
            text=text,
            text_pair=text_pair,
            progress=report_progress,
        )
    from mbert_onnx.bundles.reader import read_bundle
    from mbert_onnx.cli.printing.conversion import print_export

    if as_json:
        # Of this precision; the bundle may have others.
        print(json.dumps(read_bundle(report.model).metadata, indent=2, ensure_ascii=False))
    else:
        print_export(report, explain)


def optimize(
    file: Annotated[
        str, typer.Argument(metavar="MODEL", help="Any MobileBERT .onnx file, of opset 11 or newer; or a bundle.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The .onnx file to write.")],
    target: Annotated[
        str, typer.Option(metavar=TARGETS, help="Where the file runs: on CPUs, on phones, or in browsers.")
    ] = "cpu",
    precision: Precision = "fp32",
    calibrate: Calibrate = None,
    keep_float: KeepFloat = None,
    min_agreement: MinAgreement = None,
    tokenizer: TokenizerFile = None,
    task: FileTask = None,
    outputs: FileOutputs = None,
    opset: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="ONNX opset to write. Default: the input file's; at least 18 if a pass matches."
        ),
    ] = None,
    functions: Functions = True,
    text: Text = False,
    text_pair: TextPair = False,
    only: Only = None,
    skip: Skip = None,
    explain: Explain = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Optimize any MobileBERT .onnx: NoNorm folded, GEMMs merged, blocks fused. The result is checked."""
    with progress() as report_progress:
        report_progress(f"optimizing {file}")
        report = mbert_onnx.optimize(
            file,
            output,
            target=target,
            precision=precision,
            calibrate=calibrate,
            keep_float=names(keep_float) or (),
            min_agreement=min_agreement,
            tokenizer=tokenizer,
            task=task,
            outputs=names(outputs) or (),
            opset=opset,
            functions=functions,
            only=names(only),
            skip=names(skip) or (),
            overwrite=overwrite,
            text=text,
            text_pair=text_pair,
        )
    from mbert_onnx.cli.printing.conversion import print_optimize

    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print_optimize(report, explain)


def passes(as_json: Json = False) -> None:
    """List the graph passes in the order in which they run, with the reason for each place."""
    from mbert_onnx.cli.printing.conversion import print_passes

    stages = mbert_onnx.passes()
    if as_json:
        fields = ("name", "summary", "why", "targets")
        print(json.dumps([{field: getattr(stage, field) for field in fields} for stage in stages], indent=2))
    else:
        print_passes(stages)


def verify(
    file: Annotated[str, typer.Argument(metavar="MODEL", help="A bundle, or any MobileBERT .onnx file.")],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="What to compare with: a checkpoint, which is run in float64; a bundle; an .onnx file. Without it, "
            "only the tokens of a text file are compared.",
        ),
    ] = None,
    text: Annotated[
        bool,
        typer.Option("--text", help="Verify the text file of a bundle: its tokens, the model inside, and its answers."),
    ] = False,
    task: FileTask = None,
    outputs: FileOutputs = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=PRECISION_GROUP,
            help="Texts for an fp16 or int8 file: those that it was exported with. Default: built-in sentences.",
        ),
    ] = None,
    min_agreement: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            rich_help_panel=PRECISION_GROUP,
            help="Smallest share of decisions, 0 to 1, in which an fp16 or int8 file must agree, or smallest mean "
            "cosine of sentence embeddings. Default: 0.99, as for export.",
        ),
    ] = None,
    tokenizer: TokenizerFile = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare a file's outputs with those of a checkpoint or another file. Exits with 1 if they differ.

    Files of fp16 and int8 are measured on texts, as by export: by the share of equal decisions, or by the cosines of
    sentence embeddings. The tokens of a text file are compared with those of its tokenizer.json, for all code points
    and on difficult texts.
    """
    with progress() as report_progress:
        report_progress(f"comparing with {against or 'the tokenizer'}")
        verdict = mbert_onnx.verify(
            file,
            against,
            task=task,
            outputs=names(outputs) or (),
            calibrate=calibrate,
            min_agreement=min_agreement,
            tokenizer=tokenizer,
            seed=seed,
            text=text,
        )
    from mbert_onnx.cli.printing.conversion import print_verdict

    if as_json:
        print(json.dumps(verdict.as_dict(), indent=2))
    else:
        print_verdict(verdict)
    if not verdict.passed:
        raise typer.Exit(1)
