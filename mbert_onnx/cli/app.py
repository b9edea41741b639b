"""The command line; its commands are in `commands/`, and load what does the work when it is used."""

from __future__ import annotations

import signal
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated, Any

import typer

import mbert_onnx
from mbert_onnx.cli.commands import benchmark as measuring
from mbert_onnx.cli.commands import conversion as making
from mbert_onnx.cli.commands import diagnosis as looking
from mbert_onnx.cli.commands import evaluation as evaluating
from mbert_onnx.cli.commands import runtime as running
from mbert_onnx.cli.commands import training
from mbert_onnx.cli.errors import in_one_line

if TYPE_CHECKING:
    from types import FrameType

TERMINATED = 128 + signal.SIGTERM

app = typer.Typer(
    name="mbert-onnx",
    help="MobileBERT in production: a PyTorch checkpoint becomes a verified, fast .onnx, and is measured and run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# As --help lists them.
COMMANDS = (
    making.export,
    making.optimize,
    looking.doctor,
    making.passes,
    measuring.bench,
    measuring.report,
    running.run,
    training.pretrain,
    training.distill,
    training.finetune,
    evaluating.evaluate,
    looking.kernels,
    looking.providers,
    looking.inspect,
    making.verify,
)
for command in COMMANDS:
    app.command()(in_one_line(command))


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print(f"mbert-onnx {mbert_onnx.__version__}")
        raise typer.Exit


def main() -> None:
    """Runs the command line."""
    signal.signal(signal.SIGTERM, _terminate)
    # Where a terminal has no → it shows a question mark, and where text is not valid Unicode, `run` says so.
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "replace"), (sys.stdin, "surrogateescape")):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=errors)
    app()


def _terminate(_signal: int, _frame: FrameType | None) -> Any:
    # As an exception, so that temporary folders are removed on the way out.
    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    main()
