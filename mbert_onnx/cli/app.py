"""The typer application. Its commands are in `commands/`; each imports the code that it runs only when it is called."""

from __future__ import annotations

import signal
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated, Any

import typer

import mbert_onnx
from mbert_onnx.cli.commands import benchmark, conversion, diagnosis, evaluation, runtime, training
from mbert_onnx.cli.errors import one_line_errors

if TYPE_CHECKING:
    from types import FrameType

TERMINATED = 128 + signal.SIGTERM

app = typer.Typer(
    name="mbert-onnx",
    help="MobileBERT in production: export a PyTorch checkpoint as a verified, fast .onnx file, benchmark it, run it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# In the order of --help.
COMMANDS = (
    conversion.export,
    conversion.optimize,
    diagnosis.doctor,
    conversion.passes,
    benchmark.bench,
    benchmark.report,
    runtime.run,
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
    app.command()(one_line_errors(command))


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print(f"mbert-onnx {mbert_onnx.__version__}")
        raise typer.Exit


def main() -> None:
    """Runs the command line."""
    signal.signal(signal.SIGTERM, _terminate)
    # A terminal that cannot print → gets a question mark; input that is not valid UTF-8 is an error of `run`.
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "replace"), (sys.stdin, "surrogateescape")):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=errors)
    app()


def _terminate(_signal: int, _frame: FrameType | None) -> Any:
    # An exception, so that temporary folders are removed while it unwinds the stack.
    raise SystemExit(TERMINATED)
