"""Last-resort handler of the command line: every exception becomes one line on standard error, and an exit code.

This module imports only the standard library and `signals`, since it also has to work if another import fails or is
interrupted.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import select
import signal
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from io import TextIOWrapper, UnsupportedOperation
from typing import TYPE_CHECKING, NoReturn

from mbert_onnx.cli import signals
from mbert_onnx.cli.signals import INTERRUPTED, TERMINATED, Terminated

if TYPE_CHECKING:
    from collections.abc import Callable

# Longest line in characters. The middle of a longer one is left out: its beginning names what was found, and its end
# says what to do.
LONGEST_LINE = 1000

# What libraries that are not written in Python say if memory is short: onnxruntime, torch, C++.
_NO_MEMORY = ("bad_alloc", "bad allocation", "not enough memory", "can't allocate memory", "Failed to allocate memory")


_SPACE = re.compile(r"[\t\n\r]")
# Control characters, line separators, changes of the writing direction, and bytes that are not UTF-8.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

TMPDIR_ADVICE = "set TMPDIR to a folder that can be written"

# What to do about errors of the system, by their number: those that name no file, and those that name one.
_MACHINE_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EMFILE: "allow more open files with `ulimit -n`",
    errno.ENOMEM: "free some memory",
}
_ADVICE = {
    errno.ENOENT: "check the path",
    errno.EACCES: "change its permissions, or choose another path",
    errno.EPERM: "change its permissions, or choose another path",
    errno.EROFS: "choose a path that can be written",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "a link leads to itself; give the file",
    errno.EISDIR: "expected a file",
    errno.ENOTDIR: "a part of the path is a file; check the path",
    **_MACHINE_ADVICE,
}


def guarded(action: Callable[[], object]) -> int:
    """Runs `action` and returns the exit code; an exception of any kind is reported in one line."""
    try:
        action()
        if sys.stdout is not None:
            sys.stdout.flush()  # within this try, where a closed pipe and a full disk are handled
        return 0
    except BaseException as error:  # panics of libraries written in Rust are no Exception
        try:
            return report(error)
        except KeyboardInterrupt:  # a second one, while the first is reported
            signals.end_with(INTERRUPTED)
            return INTERRUPTED


def fail(line: str, code: int) -> NoReturn:
    """Prints a line on standard error and exits with `code`."""
    print_line(line)
    raise SystemExit(code)


def report(error: BaseException) -> int:
    """Prints one line about an exception, and returns the exit code.

    Expected errors are those of our packages, which have an `exit_code`, and errors of files and disks. For any other,
    the traceback is written to a file, which the line names.
    """
    if signals.was_interrupted(error):
        # An interrupt within exec() of a string sets a flag of CPython, with which `python -m` ends by the signal and
        # not with our exit code; torch and dataclasses call exec(). Each exec() of a string clears the flag.
        exec("")
        return _ended("interrupted", INTERRUPTED)
    if isinstance(error, Terminated):
        return _ended("terminated", TERMINATED)
    if isinstance(error, SystemExit):
        return _exit_code(error)
    if isinstance(error, BrokenPipeError) and _discard_if_closed():
        return 0  # the reader, such as `head`, has closed the pipe
    if isinstance(error, OSError) and error.strerror:
        _discard_if_closed()
        print_line(_file_error(error))
        return 1
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        print_line(str(error))
        return code
    print_line(f"{_cause(error)}; the traceback is in {_write_traceback(error)}")
    return 1


def print_line(line: str) -> None:
    """Prints one printable line on standard error. A standard error that is closed or full gets nothing."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(f"mbert-onnx: {printable(line)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Returns text as one line without control characters, and without the middle of a very long one."""
    line = without_control_characters(" ".join(text.split()))
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[: LONGEST_LINE * 2 // 3]} … {line[-LONGEST_LINE // 3 :]}"


def without_control_characters(text: str) -> str:
    """Replaces what could control a terminal, such as an escape sequence in a label or file name; newlines, too."""
    return CONTROL.sub("?", _SPACE.sub(" ", text))


def install() -> None:
    """Prepares this process: signals, standard streams, and exceptions that Python itself would print."""
    signals.install()
    _open_closed_streams()
    # A terminal that cannot print → gets a question mark; input that is not valid UTF-8 is an error of `run`.
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "replace"), (sys.stdin, "surrogateescape")):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=errors)
    logging.raiseExceptions = False  # else logging prints a traceback if standard error is closed or full
    threading.excepthook = _report_thread
    sys.unraisablehook = _report_unraisable


def _ended(how: str, code: int) -> int:
    """Prints once that a signal ends this process; another one then ends it at once."""
    if not signals.is_ending():
        print_line(f"{how}; no file is left half-written")
    signals.end_with(code)
    return code


def _exit_code(error: SystemExit) -> int:
    """Returns the exit code of a SystemExit, whose code may be a message."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print_line(str(error.code))
    return 1


def _cause(error: BaseException) -> str:
    """Returns what happened and what to do, for an exception that is not one of our own."""
    message = " ".join(str(error).split())
    found = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if isinstance(error, MemoryError) or any(text in message for text in _NO_MEMORY):
        return f"not enough memory ({found}); free some, or use a smaller model, batch or length"
    if isinstance(error, RecursionError):
        return f"the input is nested too deeply ({found}); correct it"
    if isinstance(error, UnicodeEncodeError) and any("\ud800" <= character <= "\udfff" for character in error.object):
        return f"{error.object} is not valid UTF-8, which a library needs; rename the file or folder"
    if isinstance(error, ImportError):
        return f"a Python package is missing or does not fit ({found}); install mbert-onnx again"
    return f"unexpected error ({found}); check the input, or report this with the traceback"


def _file_error(error: OSError) -> str:
    """Returns the line for an error of the system, with advice for the frequent ones."""
    name = error.filename
    if isinstance(name, bytes | str):
        found, advice = os.fsdecode(name), _ADVICE.get(error.errno or 0)
    else:
        found, advice = "this machine", _MACHINE_ADVICE.get(error.errno or 0)
        if "temporary directory" in str(error.strerror):  # of Python's tempfile, with the errno of a missing file
            advice = TMPDIR_ADVICE
    return f"{found}: {error.strerror}{f'; {advice}' if advice else ''}"


def _write_traceback(error: BaseException) -> str:
    """Writes a traceback to a temporary file. Returns its path, or why it could not be written."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="mbert-onnx-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            traceback.print_exception(error, file=file)
        return file.name
    except Exception as failure:  # a full or read-only disk, or a message that cannot be formatted
        return f"no file ({printable(str(failure))}); {TMPDIR_ADVICE}"


def _discard_if_closed() -> bool:
    """Returns whether standard output or error can no longer be written, as after `| head`.

    If so, standard output is connected to nothing, because Python would write to it at exit.
    """
    closed = False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
            if hasattr(select, "poll"):
                poll = select.poll()
                poll.register(stream.fileno(), 0)  # reports only errors, such as a pipe without a reader
                closed = closed or any(event & select.POLLERR for _, event in poll.poll(0))
        except (OSError, ValueError, AttributeError) as error:
            closed = closed or not isinstance(error, UnsupportedOperation)
    if closed:
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return closed


def _open_closed_streams() -> None:
    """Opens standard streams that the caller has closed, which are None, as empty ones."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def _report_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        report(failed.exc_value)


def _report_unraisable(failed: sys.UnraisableHookArgs) -> None:
    """Repeats an interrupt that a destructor or callback has swallowed; other errors there change no result."""
    if isinstance(failed.exc_value, KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    elif isinstance(failed.exc_value, Terminated):
        signal.raise_signal(signal.SIGTERM)
