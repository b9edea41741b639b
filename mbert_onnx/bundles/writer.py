"""A bundle is complete or absent: it is written beside its place, and moved there in one step."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from mbert_onnx.bundles.reader import METADATA
from mbert_onnx.errors import BundleError


def check_destination(output: Path, overwrite: bool) -> None:
    """Raises BundleError if a bundle cannot be put at `output`: asked before the work, so that none is lost.

    An existing bundle is only replaced with `overwrite`; another folder that holds something never is.
    """
    try:
        _check_destination(output, overwrite)
    except OSError as error:
        raise _unwritable(output, error) from error


def _check_destination(output: Path, overwrite: bool) -> None:
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise BundleError(f"{output} exists and is not a folder; choose another --output")
    if Path.cwd().is_relative_to(output.resolve()):
        # It can be moved, but a shell that stands in it would go on in the old one.
        raise BundleError(f"{output} is the current folder, or around it; choose another --output")
    if output.is_dir() and any(output.iterdir()):
        if not (output / METADATA).is_file():
            raise BundleError(f"{output} exists and is no bundle of ours, so it is left alone; choose another --output")
        if not overwrite:
            raise BundleError(f"{output} exists; pass --overwrite to replace it, or choose another --output")
    existing = next(parent for parent in output.absolute().parents if parent.exists())
    if not existing.is_dir():
        raise BundleError(f"{existing} is not a folder; choose another --output")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise BundleError(f"{existing} is not writable; choose another --output")


def _unwritable(output: Path, error: OSError) -> BundleError:
    return BundleError(f"{output} cannot be written: {error.strerror or error}; choose another --output")


@contextlib.contextmanager
def writing(output: Path, overwrite: bool) -> Iterator[Path]:
    """Gives a folder to fill, which becomes `output` when the block ends, and vanishes if it fails or is interrupted.

    Raises BundleError as `check_destination`, and where the disk does not take it.
    """
    check_destination(output, overwrite)
    partial = output.parent / f".{output.name}.partial-{os.getpid()}"
    replaced = output.parent / f".{output.name}.replaced-{os.getpid()}"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _recover(output)
        partial.mkdir()
        yield partial
        check_destination(output, overwrite)  # again, since others had time to put something there
        _move(partial, output, replaced)
    except OSError as error:
        raise _unwritable(output, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move(partial: Path, output: Path, replaced: Path) -> None:
    if not output.exists():
        partial.rename(output)
        return
    output.rename(replaced)
    try:
        partial.rename(output)
    except BaseException:
        replaced.rename(output)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _recover(output: Path) -> None:
    """Clears up after a process that was killed: its unfinished folder, and the bundle it was about to replace."""
    for state in ("partial", "replaced"):
        for left in output.parent.glob(f".{glob.escape(output.name)}.{state}-*"):
            pid = left.name.rpartition("-")[2]
            # Our own number is that of a dead process, too: in a container every first process has the same.
            if not pid.isdigit() or (int(pid) != os.getpid() and psutil.pid_exists(int(pid))):
                continue
            if state == "replaced" and not output.exists():
                left.rename(output)
            else:
                shutil.rmtree(left, ignore_errors=True)
