"""Commands `doctor`, `inspect`, `kernels` and `providers`: reports on a model file, or on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.cli.options import FileOutputs, FileTask, Json, TokenizerFile, WeightsSeed, names
from mbert_onnx.cli.printing.progress import progress
from mbert_onnx.runtime.size_limits import MAX_SEQ_LEN


def doctor(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A bundle, any MobileBERT .onnx file, or a checkpoint, which is traced first."
        ),
    ],
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Texts to measure on: .txt (one text a line), .tsv, .csv, .jsonl, or SQuAD's .json. Default: "
            "built-in sentences.",
        ),
    ] = None,
    tokenizer: TokenizerFile = None,
    task: FileTask = None,
    outputs: FileOutputs = None,
    seed: WeightsSeed = 0,
    show_all: Annotated[
        bool, typer.Option("--all", help="Print a line for each tensor instead of each layer.")
    ] = False,
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Report instead which nodes these execution providers would run, why not the others, and which other "
            "file they would run more of; all: every provider that `mbert-onnx providers` lists.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Report which tensors are unsafe in fp16 and int8; with --provider, which nodes a provider would run."""
    if provider is not None:
        for name, given in {
            "--calibrate": calibrate,
            "--tokenizer": tokenizer,
            "--outputs": outputs,
            "--all": show_all or None,
        }.items():
            if given is not None:
                raise mbert_onnx.UsageError(
                    f"{name} is given with --provider, which reads no texts; pass only one of them"
                )
        _doctor_providers(model, provider, task, seed, as_json)
        return
    with progress() as report_progress:
        found = mbert_onnx.doctor(
            model,
            calibrate=calibrate,
            tokenizer=tokenizer,
            task=task,
            outputs=names(outputs) or (),
            seed=seed,
            progress=report_progress,
        )
    from mbert_onnx.cli.printing.diagnosis import print_diagnosis

    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        print_diagnosis(found, show_all)


def inspect(
    file: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A bundle, any .onnx file, or a built-in model: reference, reference:embed."
        ),
    ],
    seq_len: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_SEQ_LEN,
            metavar="N",
            help="Length in tokens for which operations and memory are counted, if the file's is dynamic.",
        ),
    ] = 128,
    as_json: Json = False,
) -> None:
    """Print a model's inputs, outputs, parameters, nodes, operations and memory."""
    from mbert_onnx.cli.printing.diagnosis import print_census

    census = mbert_onnx.inspect(file, seq_len=seq_len)
    if as_json:
        print(json.dumps(census.as_dict(), indent=2))
    else:
        print_census(census)


def kernels(
    platform: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="PLATFORM",
            help="Write a folder for the build tools of android, ios, linux, macos, windows, dotnet or node: the "
            "libraries where they are expected, and the code that loads them.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="The folder to write, with --for.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a folder that this command wrote; other files in it stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the path of the native kernel library and the instruction set that it uses on this machine.

    With --for, write a folder with the libraries for another platform. Those that are not here are built by ziglang.
    """
    from mbert_onnx.cli.printing.diagnosis import print_kernel_folder, print_kernels

    if platform is None:
        if output is not None or overwrite:
            option = "--output" if output is not None else "--overwrite"
            raise mbert_onnx.UsageError(f"{option} is given without --for; pass --for PLATFORM, too")
        found = mbert_onnx.kernels()
        if as_json:
            print(json.dumps(found.as_dict(), indent=2))
        else:
            print_kernels(found)
        return
    if output is None:
        raise mbert_onnx.UsageError("--for is given without --output; pass the folder to write as --output FOLDER")
    with progress() as report_progress:
        written = mbert_onnx.write_kernels(platform, output, overwrite=overwrite, progress=report_progress)
    if as_json:
        print(json.dumps(written.as_dict(), indent=2))
    else:
        print_kernel_folder(written)


def providers(as_json: Json = False) -> None:
    """List the execution providers: which are usable here, why others are not, and what each needs of a model."""
    from mbert_onnx.cli.printing.diagnosis import print_providers

    found = mbert_onnx.providers()
    if as_json:
        print(json.dumps([item.as_dict() for item in found], indent=2))
    else:
        print_providers(found)


def _doctor_providers(model: str, provider: str, task: str | None, seed: int, as_json: bool) -> None:
    from mbert_onnx.cli.printing.diagnosis import print_forecasts

    with progress() as report_progress:
        found = mbert_onnx.doctor_provider(model, provider, task=task, seed=seed, progress=report_progress)
    if as_json:
        print(json.dumps([one.as_dict() for one in found], indent=2))
    else:
        print_forecasts(found)
