"""The typer application. Its commands are in `commands/`; each imports the code that it runs only when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.cli.command_group import Command, CommandGroup
from mbert_onnx.cli.commands import benchmark, conversion, diagnosis, evaluation, prediction, report, runtime, training

app = typer.Typer(
    name="mbert-onnx",
    help="MobileBERT in production: export a PyTorch checkpoint as a verified, fast .onnx file, benchmark it, run it.",
    no_args_is_help=True,
    add_completion=False,
    cls=CommandGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# In the order of --help.
COMMANDS = (
    conversion.export,
    conversion.optimize,
    diagnosis.doctor,
    conversion.passes,
    benchmark.bench,
    report.report,
    runtime.run,
    prediction.predict,
    runtime.app,
    training.pretrain,
    training.distill,
    training.finetune,
    evaluation.evaluate,
    diagnosis.kernels,
    diagnosis.providers,
    diagnosis.inspect,
    conversion.verify,
)
for command in COMMANDS:
    app.command(cls=Command)(command)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print(f"mbert-onnx {mbert_onnx.__version__}")
        raise typer.Exit
