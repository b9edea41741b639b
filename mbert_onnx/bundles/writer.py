"""Writes a bundle atomically, after a check that it may be written there."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil

from mbert_onnx.bundles.atomic import atomic_folder, write_errors
from mbert_onnx.bundles.reader import METADATA
from mbert_onnx.errors import BundleError


def check_destination(output: Path, overwrite: bool) -> None:
    """Raises BundleError if a bundle may not be written to `output`; called before the work, so that none is lost.

    An existing bundle is replaced only with `overwrite`; any other folder that is not empty is never replaced.
    """
    with _write_errors(output):
        _check_destination(output, overwrite)


def _check_destination(output: Path, overwrite: bool) -> None:
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise BundleError(f"{output} exists and is not a folder; choose another --output")
    if Path.cwd().is_relative_to(output.resolve()):
        # It can be renamed, but a shell whose working directory it is would stay in the old one.
        raise BundleError(f"{output} is the current folder, or around it; choose another --output")
    if output.is_dir() and any(output.iterdir()):
        if not (output / METADATA).is_file():
            raise BundleError(f"{output} exists and is not a bundle that export wrote; choose another --output")
        if not overwrite:
            raise BundleError(f"{output} exists; pass --overwrite to replace it, or choose another --output")
    existing = next(parent for parent in output.absolute().parents if parent.exists())
    if not existing.is_dir():
        raise BundleError(f"{existing} is not a folder; choose another --output")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise BundleError(f"{existing} is not writable; choose another --output")


def _write_errors(output: Path) -> contextlib.AbstractContextManager[None]:
    return write_errors(output, BundleError, advice="choose another --output")


@contextlib.contextmanager
def writing(output: Path, overwrite: bool) -> Iterator[Path]:
    """Yields a folder to fill, which becomes `output` when the block ends, or is deleted on failure.

    Raises BundleError as `check_destination`, and where the disk does not take it.
    """
    check_destination(output, overwrite)
    # Checked again before the rename: another program had time to put something there.
    check = partial(check_destination, output, overwrite)
    beside = output.with_name(f".{output.name}.partial-{os.getpid()}")
    with _write_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        _recover(output)
        with atomic_folder(output, beside, check=check) as folder:
            yield folder


def _recover(output: Path) -> None:
    """Cleans up after a killed process: deletes its unfinished folder, restores the bundle that it moved aside."""
    for state in ("partial", "replaced"):
        for left in output.parent.glob(f".{glob.escape(output.name)}.{state}-*"):
            pid = left.name.rpartition("-")[2]
            # Our own process id may be a dead process's, too: in containers the first process always has the same id.
            if not pid.isdigit() or (int(pid) != os.getpid() and psutil.pid_exists(int(pid))):
                continue
            if state == "replaced" and not output.exists():
                left.rename(output)
            else:
                shutil.rmtree(left, ignore_errors=True)
