"""Writes an `.onnx` file atomically, after a check that it may be written there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mbert_onnx.bundles.atomic import atomic_file
from mbert_onnx.errors import BundleError


def check_file_destination(output: Path, overwrite: bool) -> None:
    """Raises BundleError if `output` may not be written; called before the work, so that none is lost."""
    if output.is_dir():
        raise BundleError(f"{output} is a folder; give the name of an .onnx file, such as {output / 'model.onnx'}")
    if output.suffix != ".onnx":
        raise BundleError(f"{output} does not end in .onnx; choose another --output")
    if output.exists() and not overwrite:
        raise BundleError(f"{output} exists; pass --overwrite to replace it, or choose another --output")
    if not output.parent.is_dir():
        raise BundleError(f"{output.parent} is not a folder; create it, or choose another --output")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise BundleError(f"{output.parent} is not writable; choose another --output")


@contextlib.contextmanager
def writing_file(output: Path, overwrite: bool) -> Iterator[Path]:
    """Yields a path to write to, which becomes `output` when the block ends, and is deleted if it fails.

    Raises BundleError as `check_file_destination`, and where the disk does not take it.
    """
    # Checked again before the rename: another program had time to put something there.
    check = partial(check_file_destination, output, overwrite)
    with atomic_file(output, BundleError, advice="choose another --output", check=check) as beside:
        yield beside
