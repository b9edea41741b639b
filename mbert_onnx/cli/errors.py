"""Errors of a command: one line on standard error, and an exit code."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Wraps a command: its expected errors are one line and exit with 1 or 2; an interrupt exits with 130."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()  # within this try, where a closed pipe is handled
        except KeyboardInterrupt:
            # An interrupt within exec() of a string sets a flag of CPython, with which `python -m` ends by the signal
            # and not with our exit code; torch and dataclasses call exec(). Each exec() of a string clears the flag.
            exec("")
            fail("interrupted; no file is left half-written", INTERRUPTED)
        except BrokenPipeError:
            # The reader, such as `head`, has closed the pipe; nothing may write to it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:  # of the machine: a full disk, a name that is too long, no permission to read
            fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
        except Exception as error:
            # The errors of our three packages carry their exit code. Any other is a bug: its traceback is shown.
            if not isinstance(getattr(error, "exit_code", None), int) or isinstance(error, typer.Exit):
                raise
            fail(str(error), error.exit_code)  # type: ignore[attr-defined]

    return wrapped


def fail(line: str, code: int) -> NoReturn:
    """Prints a line on standard error and exits with `code`."""
    print(f"mbert-onnx: {line}", file=sys.stderr)
    raise typer.Exit(code)
