"""Signals of the command line: Ctrl-C and SIGTERM as exceptions until the exit code is known, and its use afterwards.

This module imports only the standard library, as `mbert_onnx.cli.errors` does.
"""

from __future__ import annotations

import atexit
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """SIGTERM. An exception, so that temporary folders are removed while it unwinds the stack."""


@dataclass
class _State:
    """State of this process.

    Args:
        is_installed: Whether the handlers below are in use; they are not within another program, such as a test.
        was_interrupted: Whether Ctrl-C was pressed.
        code: The exit code, once nothing is left to do but to end.
    """

    is_installed: bool = False
    was_interrupted: bool = False
    code: int | None = None


_state = _State()


def install() -> None:
    """Handles Ctrl-C, unless it is ignored as for a shell's job in the background, and SIGTERM."""
    _state.is_installed = True
    signal.signal(signal.SIGTERM, _handle)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _handle)


def end_with(code: int) -> None:
    """Notes that the work is done and reported: a further signal ends the process at once, with this exit code."""
    if not _state.is_installed:
        return
    if _state.code is None:
        # Python stops calling handlers in its last steps, which take no time.
        atexit.register(_ignore)
    _state.code = code


def is_ending() -> bool:
    """Returns whether the end of the process was reported already."""
    return _state.code is not None


def was_interrupted(error: BaseException) -> bool:
    """Returns whether an exception is Ctrl-C, or what a library made of it.

    Extension modules that are being imported, such as onnxruntime's, turn it into an ImportError.
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    if not _state.was_interrupted or isinstance(error, SystemExit):
        return False
    is_expected = hasattr(error, "exit_code") or (isinstance(error, OSError) and error.strerror)
    return not is_expected or any(isinstance(one, ImportError) for one in _chain(error))


def _chain(error: BaseException | None) -> list[BaseException]:
    """Returns an exception and those before it."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _handle(number: int, _frame: FrameType | None) -> None:
    if _state.code is not None:
        os._exit(_state.code)
    if number == signal.SIGTERM:
        raise Terminated(TERMINATED)
    _state.was_interrupted = True
    raise KeyboardInterrupt


def _ignore() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
