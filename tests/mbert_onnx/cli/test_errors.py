"""The last-resort handler: any exception is one line, an exit code, and a file with the traceback."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

import mbert_onnx
from mbert_onnx.cli import errors
from mbert_onnx.cli.errors import LONGEST_LINE, guarded, printable

HOME = Path(mbert_onnx.__file__).parent.parent


class Panic(BaseException):
    """As libraries written in Rust raise it."""


class ExpectedError(Exception):
    exit_code = 2


def raising(error: BaseException) -> Any:
    def action() -> None:
        raise error

    return action


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(HOME), **options.pop("environment", {})}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, **options)


@pytest.fixture(autouse=True)
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("bad\nvalue"), "unexpected error (ValueError: bad value); check the input, or report this"),
        (Panic("index out of bounds"), "unexpected error (Panic: index out of bounds)"),
        (MemoryError(), "not enough memory (MemoryError); free some, or use a smaller model, batch or length"),
        (RuntimeError("std::bad_alloc"), "not enough memory (RuntimeError: std::bad_alloc)"),
        (RecursionError("maximum"), "the input is nested too deeply (RecursionError: maximum); correct it"),
        (UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "x"), "caf? is not valid UTF-8, which a library needs; rename"),
        (UnicodeEncodeError("ascii", "café", 3, 4, "x"), "unexpected error (UnicodeEncodeError: 'ascii' codec"),
        (ModuleNotFoundError("No module named 'x'"), "a Python package is missing or does not fit (ModuleNotFoundErr"),
        (OSError("libfoo.so: cannot open"), "unexpected error (OSError: libfoo.so: cannot open)"),
        (ConnectionError(), "unexpected error (ConnectionError)"),
    ],
)
def test_an_unexpected_error_is_one_line_and_a_file(
    error: BaseException, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert guarded(raising(error)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"mbert-onnx: {says}")
    assert printed.err.count("\n") == 1
    place = re.search(r"; the traceback is in (\S+)\n", printed.err)
    assert place
    assert Path(place[1]).parent == tmp_path
    content = Path(place[1]).read_text(encoding="utf-8")
    assert content.startswith("Traceback")
    assert "in action" in content


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ExpectedError("the option is wrong"), 2, "the option is wrong"),
        (ExpectedError("two\nlines\x1b[31m"), 2, "two lines?[31m"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x.json"), 1, "x.json: No such file; check the path"),
        (PermissionError(errno.EACCES, "Denied", b"x"), 1, "x: Denied; change its permissions, or choose another path"),
        (OSError(errno.ENOSPC, "No space left"), 1, "this machine: No space left; free some space"),
        (SystemExit("a library's last words"), 1, "a library's last words"),
        (KeyboardInterrupt(), 130, "interrupted; no file is left half-written"),
    ],
)
def test_an_expected_error_has_no_file(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert guarded(raising(error)) == code
    assert capsys.readouterr().err == f"mbert-onnx: {says}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("error", "code"), [(SystemExit(), 0), (SystemExit(3), 3), (SystemExit(0), 0)])
def test_an_exit_code_of_a_library_stays(error: SystemExit, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(error)) == code
    assert capsys.readouterr().err == ""


def test_a_traceback_that_cannot_be_written_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    assert guarded(raising(ValueError("x"))) == 1
    printed = capsys.readouterr().err
    assert "the traceback is in no file ([Errno 2] No such file or directory" in printed
    assert printed.endswith("; set TMPDIR to a folder that can be written\n")


def test_a_long_line_keeps_its_beginning_and_its_end() -> None:
    line = printable("found " + "x" * 5000 + "; do this")
    assert len(line) <= LONGEST_LINE + 3
    assert line.startswith("found xxx")
    assert line.endswith("xxx; do this")


def test_text_in_any_script_is_printed() -> None:
    text = "l\u2019année 2024\u00a0: 漢字 👩\u200d👧 עברית"
    assert errors.without_control_characters(text) == text
    assert errors.without_control_characters("a\x1b[2Jb\tc\u202ed\x9be\udce9") == "a?[2Jb c?d?e?"


def test_an_error_in_a_thread_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", errors._report_thread)
    thread = threading.Thread(target=raising(ValueError("in the background")))
    thread.start()
    thread.join()
    printed = capsys.readouterr().err
    assert printed.startswith("mbert-onnx: unexpected error (ValueError: in the background)")
    assert printed.count("\n") == 1


# Whole processes, none of which loads anything heavy


@pytest.mark.parametrize(
    ("failure", "code", "says"),
    [
        ("KeyboardInterrupt()", 130, "interrupted; no file is left half-written"),
        ("interrupted_import()", 130, "interrupted; no file is left half-written"),
        ("ImportError('it does not fit')", 1, "a Python package is missing or does not fit (ImportError: it does not"),
        ("RuntimeError('broken')", 1, "unexpected error (RuntimeError: broken)"),
    ],
)
def test_a_failure_while_packages_are_imported_is_one_line(failure: str, code: int, says: str) -> None:
    program = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
def interrupted_import():  # as in extension modules, such as onnxruntime's
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        return ImportError("initialization failed")
class Fail:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise {failure}
sys.meta_path.insert(0, Fail())
from mbert_onnx.cli import main
main()
"""
    done = python("-c", program)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"mbert-onnx: {says}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_is_one_line(number: signal.Signals, code: int, word: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(HOME), "PYTHONUNBUFFERED": "1"}
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.argv[1:] = ['run', 'reference', '-']\n"
        "class Input:\n    def read(self):\n        print('reading', flush=True)\n        signal.pause()\n"
        "from mbert_onnx.cli import main; sys.stdin = Input(); main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.send_signal(number)
    _, printed = process.communicate()
    assert (process.returncode, printed) == (code, f"mbert-onnx: {word}; no file is left half-written\n")


@pytest.mark.parametrize("moment", ["parsing", "ending", "finalizing"])
def test_a_signal_outside_of_commands(moment: str) -> None:
    """While the command line is parsed; while threads are waited for; in the last steps of Python."""
    program = f"""
import atexit, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt = lambda *_: signal.raise_signal(signal.SIGINT)
from mbert_onnx.cli import main
from mbert_onnx.cli.command_group import CommandGroup
make_context = CommandGroup.make_context
def parse(*arguments, **options):
    interrupt()
    return make_context(*arguments, **options)
if "{moment}" != "finalizing":
    CommandGroup.make_context = parse
if "{moment}" == "ending":
    threading._register_atexit(interrupt)
else:
    atexit.register(interrupt)
sys.argv[1:] = ["--version"]
main()
"""
    done = python("-c", program)
    expected = (0, "") if moment == "finalizing" else (130, "mbert-onnx: interrupted; no file is left half-written\n")
    assert (done.returncode, done.stderr) == expected


def test_a_full_disk_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        environment = {**os.environ, "PYTHONPATH": str(HOME)}
        done = subprocess.run(
            [sys.executable, "-m", "mbert_onnx", "--version"], stdout=full, stderr=subprocess.PIPE, env=environment
        )
    assert done.returncode == 1
    assert done.stderr == b"mbert-onnx: this machine: No space left on device; free some space\n"


@pytest.mark.parametrize(("redirection", "code"), [(">&-", 0), ("2>&-", 0), ("<&-", 0), (">&- 2>&- <&-", 0)])
def test_closed_streams_are_no_error(redirection: str, code: int) -> None:
    done = subprocess.run(
        f"{sys.executable} -m mbert_onnx --version {redirection}", shell=True, capture_output=True, text=True, cwd=HOME
    )
    assert (done.returncode, done.stderr) == (code, "")


def test_an_argument_that_is_not_utf8_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable.encode(), b"-m", b"mbert_onnx", b"inspect", b"caf\xe9.onnx"], capture_output=True, cwd=HOME
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"mbert-onnx: the argument 'caf\\udce9.onnx' is not valid UTF-8; rename the file")
    assert done.stderr.count(b"\n") == 1


def test_an_argument_in_a_locale_of_another_encoding_is_one_line() -> None:
    locale = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = python("-m", "mbert_onnx", "run", "reference", "café", environment=locale)
    assert done.returncode == 2
    assert done.stderr.endswith("is not valid UTF-8; the locale has another encoding: set PYTHONUTF8=1\n")
