"""`export`, `optimize`, `passes`, `verify`: commands that make a file, or prove one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.cli.errors import names, progress
from mbert_onnx.cli.options import (
    Calibrate,
    Explain,
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
    Target,
    Task,
    TokenizerFile,
)


def export(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="A folder in transformers' format, a hub id, or a built-in model: reference, random or random:tiny."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    task: Task = None,
    target: Annotated[
        str, typer.Option(help="What it is for: cpu, mobile (fixed shapes, int32 inputs) or web.")
    ] = "cpu",
    seq_len: Annotated[int | None, typer.Option(help="Fix the length in tokens. Default: dynamic.")] = None,
    batch: Annotated[int | None, typer.Option(help="Fix the batch. Default: dynamic; 1 for mobile.")] = None,
    choices: Annotated[
        int | None, typer.Option(help="Fix the number of choices of multiple-choice. Default: dynamic; 4 for mobile.")
    ] = None,
    precision: Precision = "fp32",
    calibrate: Calibrate = None,
    keep_float: KeepFloat = None,
    min_agreement: MinAgreement = None,
    opset: Annotated[int, typer.Option(help="The opset, from 18 to the newest that onnxruntime runs here.")] = 18,
    functions: Functions = True,
    only: Only = None,
    skip: Skip = None,
    explain: Explain = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
    seed: Seed = 0,
    kernels: Kernels = "auto",
    as_json: Json = False,
) -> None:
    """Turn a PyTorch MobileBERT into a bundle with a verified .onnx."""
    with progress() as told:
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
            progress=told,
        )
    from mbert_onnx.cli.printing import print_export

    if as_json:
        print((report.path / "mbert_onnx.json").read_text(encoding="utf-8"), end="")
    else:
        print_export(report, explain)


def optimize(
    file: Annotated[
        str, typer.Argument(help="An .onnx file of anybody's MobileBERT, of opset 11 or newer; or a bundle.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    target: Target = "cpu",
    precision: Precision = "fp32",
    calibrate: Calibrate = None,
    keep_float: KeepFloat = None,
    min_agreement: MinAgreement = None,
    tokenizer: TokenizerFile = None,
    task: FileTask = None,
    opset: Annotated[
        int | None, typer.Option(help="The opset to write. Default: the file's, 18 at least if anything is rewritten.")
    ] = None,
    functions: Functions = True,
    only: Only = None,
    skip: Skip = None,
    explain: Explain = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Make anybody's .onnx of a MobileBERT fast: no NoNorm, fewer GEMMs, fused blocks. The result is checked."""
    with progress() as told:
        told(f"optimizing {file}")
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
            opset=opset,
            functions=functions,
            only=names(only),
            skip=names(skip) or (),
            overwrite=overwrite,
        )
    from mbert_onnx.cli.printing import print_optimize

    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print_optimize(report, explain)


def passes(as_json: Json = False) -> None:
    """List the graph passes, in the order in which they run."""
    from mbert_onnx.cli.printing import print_passes

    stages = mbert_onnx.passes()
    if as_json:
        fields = ("name", "summary", "why", "targets")
        print(json.dumps([{field: getattr(stage, field) for field in fields} for stage in stages], indent=2))
    else:
        print_passes(stages)


def verify(
    file: Annotated[str, typer.Argument(help="A bundle, or an .onnx file of anybody's.")],
    against: Annotated[
        str, typer.Option(help="A checkpoint, which judges in float64; or another bundle or .onnx file.")
    ],
    task: Task = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Check that a file says the same as a checkpoint or another file; exit 1 if it does not."""
    with progress() as told:
        told(f"comparing with {against}")
        verdict = mbert_onnx.verify(file, against, task=task, seed=seed)
    if as_json:
        print(json.dumps(verdict.as_dict(), indent=2))
    else:
        print(f"{'the same model' if verdict.passed else 'NOT the same model'}: {verdict}")
    if not verdict.passed:
        raise typer.Exit(1)
