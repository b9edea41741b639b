"""Atomic writes: a file or folder is written beside its destination and renamed, so it is either complete or absent."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbert_onnx.errors import BundleError, MbertError
from mbert_onnx.text.json_files import read_json

# Prefix of the name of a file that is not complete yet. It stays behind only where the process was killed.
PARTIAL = ".partial-"


def no_check() -> None:
    """No-op check before the rename."""


@contextmanager
def atomic_file(
    path: Path,
    error: type[MbertError],
    *,
    advice: str = "choose another place",
    check: Callable[[], None] = no_check,
) -> Iterator[Path]:
    """Yields a path with the same suffix to write to; renames it to `path` when the block ends, deletes it on failure.

    Args:
        path: The destination; it is replaced if it exists.
        error: The class of the error that is raised where the disk does not take the file.
        advice: The end of that error's message: what to do.
        check: Called when the file is complete, before the rename; it raises to refuse the file.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        # Renaming would replace it; root could replace /dev/null.
        raise error(f"{path} cannot be written (it is a pipe or device); {advice}")
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    with write_errors(path, error, advice=advice):
        try:
            yield partial
            check()
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, partial: Path, *, check: Callable[[], None] = no_check) -> Iterator[Path]:
    """Yields the new, empty folder `partial`; renames it to `path` when the block ends, deletes it on failure.

    Args:
        path: The destination; a folder that is there is replaced.
        partial: A path on the same disk; what is there is deleted first.
        check: Called when the folder is complete, before the rename; it raises to refuse the folder.

    Raises OSError where the disk does not take it; `write_errors` turns that into one of ours.
    """
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        check()
        replaced = swap_folders(partial, path)
        if replaced is not None:
            shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_new_folder(path: Path, advice: str) -> None:
    """Raises BundleError for a path at which no folder can be written, or none that is there replaced by renaming."""
    if path.is_symlink():
        # Renaming would replace the link.
        target = f"the folder that it leads to, {path.resolve()}" if path.is_dir() else "a folder"
        raise BundleError(f"{path} is a link; expected a folder: give {target}, or {advice}")
    if path.exists() and not path.is_dir():
        raise BundleError(f"{path} exists and is not a folder; {advice}")
    if Path.cwd().is_relative_to(path.resolve()):
        # It can be renamed, but a shell whose working directory it is would stay in the old one.
        raise BundleError(f"{path} is the current folder, or around it; {advice}")
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    if not existing.is_dir():
        raise BundleError(f"{existing} is not a folder; {advice}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise BundleError(f"{existing} is not writable; {advice}")


def replaced_name(path: Path) -> Path:
    """The path to which a folder at `path` is moved while its successor takes its place."""
    return path.with_name(f".{path.name}.replaced-{os.getpid()}")


def swap_folders(new: Path, path: Path) -> Path | None:
    """Renames the folder `new` to `path`; returns where the folder that was there is now, None if there was none.

    Where the system can exchange two names, there is a folder at `path` at every moment.
    """
    if not path.exists():
        new.rename(path)
        return None
    replaced = replaced_name(path)
    if _exchange(new, path):
        new.rename(replaced)
        return replaced
    path.rename(replaced)
    try:
        new.rename(path)
    except BaseException:
        replaced.rename(path)
        raise
    return replaced


# Arguments of Linux' renameat2: a path is relative to the current folder, and two names are exchanged.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def _exchange(first: Path, second: Path) -> bool:
    """Exchanges the names of two folders in one step; returns whether the system and the disk can."""
    if sys.platform != "linux":
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # another C library
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0)


# The keys of a folder's record: the command that wrote it, and its files.
GENERATOR, FILES = "generator", "files"


@dataclass(frozen=True)
class OwnFolder:
    """A kind of folder that a command writes, and replaces if asked: a record in it lists the command's files.

    Args:
        record: Name of the record, a JSON file.
        command: The command, which the record names.
        content: A noun for what is in the folder, with its article, such as "an app".
        advice: The end of messages: what else to do.
    """

    record: str
    command: str
    content: str
    advice: str

    def check(self, output: Path, overwrite: bool) -> None:
        """Raises BundleError if the folder may not be written; called before the work, so that none is lost.

        A folder of the command is replaced only with `overwrite`; another one that is not empty is never replaced.
        """
        check_new_folder(output, self.advice)
        if not output.is_dir() or not any(output.iterdir()):
            return
        if self.own_files(output) is None:
            raise BundleError(
                f"{output} exists, and is not empty and not {self.content} that this command wrote; {self.advice}"
            )
        if not overwrite:
            noun = self.content.partition(" ")[2]
            raise BundleError(f"{output} exists; pass --overwrite to replace the {noun} in it, or {self.advice}")

    def own_files(self, folder: Path) -> set[str] | None:
        """Returns the command's files in a folder, relative to it; None for another folder."""
        try:
            content: Any = read_json(folder / self.record)
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(content, dict) or content.get(GENERATOR) != self.command:
            return None
        files = content.get(FILES)
        if not isinstance(files, list):
            return None
        return {self.record, *(name for name in files if isinstance(name, str))}

    @contextmanager
    def writing(self, output: Path, overwrite: bool, left_alone: list[str]) -> Iterator[Path]:
        """Yields a folder to fill, which becomes `output` when the block ends; deletes it on failure.

        Files in the command's folder that are not the command's stay there, and their names are added to `left_alone`.

        Raises BundleError as `check`, and where the disk does not take it.
        """
        self.check(output, overwrite)
        partial = output.with_name(f".{output.name}.partial-{os.getpid()}")

        def keep_others() -> None:
            self.check(output, overwrite)  # again, because another program had time to put something there
            own = self.own_files(output) or set()
            for path in sorted(output.rglob("*")) if output.is_dir() else ():
                name, target = path.relative_to(output).as_posix(), partial / path.relative_to(output)
                if name in own or (path.is_dir() and not path.is_symlink()) or os.path.lexists(target):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target, follow_symlinks=False)
                left_alone.append(name)

        with write_errors(output, BundleError, advice=self.advice):
            output.parent.mkdir(parents=True, exist_ok=True)
            with atomic_folder(output, partial, check=keep_others) as folder:
                yield folder


@contextmanager
def write_errors(
    path: Path,
    error: type[MbertError],
    *,
    advice: str,
    kinds: tuple[type[Exception], ...] = (OSError,),
) -> Iterator[None]:
    """Turns the errors of writing `path` into `error`, with one line that names the path, the reason and the advice.

    `kinds` are the classes that libraries raise: torch reports a full disk as RuntimeError, safetensors and tokenizers
    as Exception. Our own errors pass through.
    """
    try:
        yield
    except MbertError:
        raise
    except kinds as found:
        raise error(f"{path} cannot be written ({_reason(found)}); {advice}") from found


def _reason(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    if strerror:
        return str(strerror)
    text = " ".join(str(error).split())
    return text if isinstance(error, OSError) else f"{text}: the disk may be full"
