"""`doctor`, `inspect`, `kernels`, `providers`: commands that look at a file, or at this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.cli.errors import progress
from mbert_onnx.cli.options import FileTask, Json, Seed, TokenizerFile


def doctor(
    model: Annotated[
        str, typer.Argument(help="A bundle, an .onnx file of anybody's, or a checkpoint, which is traced first.")
    ],
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Texts to measure it on: lines, TSV, JSONL, or SQuAD's JSON. Default: built-in sentences.",
        ),
    ] = None,
    tokenizer: TokenizerFile = None,
    task: FileTask = None,
    seed: Seed = 0,
    show_all: Annotated[bool, typer.Option("--all", help="Print every tensor, not a line for each layer.")] = False,
    provider: Annotated[
        str | None,
        typer.Option(
            help="Tell instead which nodes these execution providers would take, why not the others, and what helps: "
            "names with commas, or all."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell where numbers are too large or too small for fp16 and int8, and what rescaling makes of them."""
    if provider is not None:
        for name, given in {"--calibrate": calibrate, "--tokenizer": tokenizer, "--all": show_all or None}.items():
            if given is not None:
                raise mbert_onnx.UsageError(f"{name} is given, and --provider, which reads no texts; pass one of both")
        _doctor_providers(model, provider, task, seed, as_json)
        return
    with progress() as told:
        found = mbert_onnx.doctor(model, calibrate=calibrate, tokenizer=tokenizer, task=task, seed=seed, progress=told)
    from mbert_onnx.cli.printing import print_diagnosis

    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        print_diagnosis(found, show_all)


def inspect(
    file: Annotated[str, typer.Argument(help="A bundle, or an .onnx file of anybody's.")],
    seq_len: Annotated[int, typer.Option(help="The length for which operations and memory are counted.")] = 128,
    as_json: Json = False,
) -> None:
    """Tell a model's inputs, outputs, parameters, nodes, operations and memory."""
    from mbert_onnx.cli.printing import print_census

    census = mbert_onnx.inspect(file, seq_len=seq_len)
    if as_json:
        print(json.dumps(census.as_dict(), indent=2))
    else:
        print_census(census)


def kernels(as_json: Json = False) -> None:
    """Tell where the library of native kernels is, and the instruction set that it uses here."""
    found = mbert_onnx.kernels()
    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
        return
    print(f"library          {found.library or 'none: files run by their own function bodies'}")
    if found.library is not None:
        print(f"instruction set  {found.instruction_set}")
        print(f"here             {', '.join(name for name, is_here in found.instruction_sets.items() if is_here)}")
        print(f"not here         {', '.join(name for name, is_here in found.instruction_sets.items() if not is_here)}")


def providers(as_json: Json = False) -> None:
    """List the execution providers: which are usable here, why the others are not, what each wants of a model."""
    from mbert_onnx.cli.printing import print_providers

    found = mbert_onnx.providers()
    if as_json:
        print(json.dumps([item.as_dict() for item in found], indent=2))
    else:
        print_providers(found)


def _doctor_providers(model: str, provider: str, task: str | None, seed: int, as_json: bool) -> None:
    from mbert_onnx.cli.printing import print_forecasts

    with progress() as told:
        found = mbert_onnx.doctor_provider(model, provider, task=task, seed=seed, progress=told)
    if as_json:
        print(json.dumps([one.as_dict() for one in found], indent=2))
    else:
        print_forecasts(found)
