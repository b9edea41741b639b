"""What every command shares: errors in one line, what is told meanwhile, options that are lists."""

from __future__ import annotations

import functools
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

import mbert_onnx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mbert_onnx.cli.printing import Progress

INTERRUPTED = 130


def in_one_line(command: Callable[..., None]) -> Callable[..., None]:
    """What a user can mend becomes one line and exit code 1 or 2; an interrupt exits with 130."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()  # here, where a closed pipe is no surprise
        except KeyboardInterrupt:
            fail("interrupted; nothing half-written is left", INTERRUPTED)
        except BrokenPipeError:
            # The reader, such as `head`, has seen enough; nothing may write to the closed pipe at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:  # of the machine: a full disk, a name that is too long, no right to read
            fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
        except Exception as error:
            # The errors of our three packages carry their exit code. Any other is a mistake of ours, and shows where.
            if not isinstance(getattr(error, "exit_code", None), int) or isinstance(error, typer.Exit):
                raise
            fail(str(error), error.exit_code)  # type: ignore[attr-defined]

    return wrapped


def fail(line: str, code: int) -> NoReturn:
    """Ends the program with a line on standard error."""
    print(f"mbert-onnx: {line}", file=sys.stderr)
    raise typer.Exit(code)


def names(values: list[str] | None) -> list[str] | None:
    """What was given with commas, or repeatedly."""
    return None if values is None else [name for value in values for name in value.split(",") if name]


def numbers(option: str, text: str) -> list[int]:
    """Whole numbers with commas; UsageError, which names the option, for anything else."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise mbert_onnx.UsageError(f"{option} is {text!r}; expected whole numbers with commas, such as 8,32") from None


@contextmanager
def training_progress() -> Iterator[Callable[[str, int, int, dict[str, float]], None]]:
    """Tells on standard error how a training goes."""
    from mbert_onnx.cli.printing import training as training_printing

    with training_printing.training_progress() as tell:
        yield tell


@contextmanager
def progress() -> Iterator[Progress]:
    """Tells on standard error what is being done."""
    from mbert_onnx.cli import printing

    with printing.progress() as told:
        yield told
