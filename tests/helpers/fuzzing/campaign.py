"""A campaign of fuzzing: many mutated inputs for one reader, and what went wrong."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from random import Random

from tests.helpers.fuzzing.readers import Reader
from tests.helpers.fuzzing.watch import TooLong, Watch, watching

# No reader may run longer on one small file.
LONGEST_S = 10.0
# Failures of one kind of which the input is kept.
KEPT = 3


@dataclass
class Result:
    """What a campaign found.

    Args:
        reader: The reader's name.
        inputs: Number of inputs.
        accepted: Number of those that were read.
        refused: Number of those that raised one of our errors.
        slowest_s: Longest time of one input, and `slowest` its number.
        failures: Kinds of failures and how often.
        kept: Paths of inputs that failed.
    """

    reader: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    slowest: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    kept: list[Path] = field(default_factory=list)

    def __str__(self) -> str:
        failed = "".join(f"\n  {count} × {kind}" for kind, count in self.failures.most_common())
        return (
            f"{self.reader}: {self.inputs:,} inputs, {self.accepted:,} read, {self.refused:,} refused in one line, "
            f"{sum(self.failures.values()):,} failures; slowest {self.slowest_s:.2f} s (input {self.slowest}){failed}"
        )


def campaign(reader: Reader, *, seed: int, inputs: int, work: Path, first: int = 0, keep: Path | None = None) -> Result:
    """Reads mutated inputs, each of which follows from the seed and its number alone.

    Args:
        reader: The reader.
        seed: Seed of the mutations.
        inputs: Number of inputs.
        work: An empty folder. A crash of the whole process leaves its input in `input`.
        first: Number of the first input, to repeat one.
        keep: The folder for inputs that fail; default: they are not kept.
    """
    folders = [work / name for name in ("input", "output", "temporary")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    source, output, temporary = folders
    (work / "secret.bin").write_bytes(bytes(4096))
    files = reader.files()
    for name, content in files.items():
        (source / name).parent.mkdir(exist_ok=True)
        _write(source / name, content)
    names = _names(source)
    result = Result(reader.name)
    changed = ""
    gc.collect()
    gc.freeze()  # torch and transformers have a million objects, and a collection looks at each
    with redirect_stdout(StringIO()):
        for name in dict.fromkeys(reader.mutated):
            reader.read(source / name, output)  # the valid file; also imports what the reader needs
    with _temporary(temporary), _native_errors(work / "native.txt") as panicked:
        for number in range(first, first + inputs):
            random = Random(f"{reader.name} {seed} {number}")
            target = random.choice(reader.mutated)
            change = random.choice(reader.changes(target))
            if changed not in ("", target):
                _write(source / changed, files[changed])
            _write(source / target, change(files[target], random))
            changed = target
            failure = _read_once(reader, source / target, output, temporary, result, number)
            if failure is None and _names(source) != names:
                failure = f"the input's folder has other files: {sorted(_names(source) ^ names)}"
                for name in _names(source) - names:
                    (source / name).unlink()
            failure = failure or panicked()
            if failure is not None:
                result.failures[failure] += 1
                if keep is not None and result.failures[failure] <= KEPT:
                    kept = keep / f"{reader.name}-{seed}-{number}"
                    shutil.copytree(source, kept, dirs_exist_ok=True)
                    result.kept.append(kept)
            if number % 200 == 0:
                _empty(output)
                _empty(temporary)
    return result


def _read_once(reader: Reader, path: Path, output: Path, temporary: Path, result: Result, number: int) -> str | None:
    """Runs the reader on one input; returns what went wrong, in one line."""
    watch = Watch([path.parent], [output, temporary])
    result.inputs += 1
    started = time.perf_counter()
    failure: str | None = None
    try:
        with watching(watch, LONGEST_S), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            reader.read(path, output)
        result.accepted += 1
    except KeyboardInterrupt:
        raise
    except TooLong as error:
        failure = f"{error}: {_where(error)}"
    except BaseException as error:  # panics of libraries in Rust, too
        if isinstance(getattr(error, "exit_code", None), int):
            result.refused += 1
            if not str(error).strip():
                failure = f"an empty message: {type(error).__name__}"
        else:
            failure = f"{type(error).__name__}: {_where(error)}"
    seconds = time.perf_counter() - started
    if seconds > result.slowest_s:
        result.slowest_s, result.slowest = seconds, number
    if failure is None and seconds > LONGEST_S:
        failure = f"more than {LONGEST_S:g} s"
    if failure is None and watch.found:
        failure = f"outside of the input: {watch.found[0]}"
    return failure


def _where(error: BaseException) -> str:
    """Returns the innermost place of our own code, and the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename and "/fuzzing/" not in frame.filename]
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in (*own[-1:], *frames[-1:])]
    return f"{' '.join(dict.fromkeys(places))}: {' '.join(str(error).split())[:150]}"


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)


def _names(folder: Path) -> set[str]:
    return set(os.listdir(folder))  # noqa: PTH208  # ten times as fast, once an input


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _native_errors(path: Path) -> Iterator[Callable[[], str | None]]:
    """Sends the process's standard error to a file; yields a function that returns a new line of a panic in Rust."""
    before = os.dup(2)
    with path.open("w+b") as file:
        os.dup2(file.fileno(), 2)

        def panicked() -> str | None:
            if not os.fstat(file.fileno()).st_size:
                return None
            file.seek(0)
            lines = file.read().decode(errors="replace").splitlines()
            file.truncate(0)
            os.lseek(2, 0, os.SEEK_SET)
            return next((f"on standard error: {line[-150:]}" for line in lines if "panicked" in line), None)

        try:
            yield panicked
        finally:
            os.dup2(before, 2)
            os.close(before)


@contextmanager
def _temporary(folder: Path) -> Iterator[None]:
    """Lets Python's temporary files be in a folder."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
