"""Atomic writes: a file or folder is written beside its destination and renamed, so it is either complete or absent."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mbert_onnx.errors import BundleError, MbertError

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
