"""An `.onnx` file is complete or absent: it is written beside its place, checked, and moved there in one step."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from mbert_onnx.errors import BundleError


def check_file_destination(output: Path, overwrite: bool) -> None:
    """Raises BundleError if a file cannot be put at `output`: asked before the work, so that none is lost."""
    if output.is_dir():
        raise BundleError(f"{output} is a folder; give the name of an .onnx file, such as {output / 'model.onnx'}")
    if output.suffix != ".onnx":
        raise BundleError(f"{output} does not end in .onnx; choose another --output")
    if output.exists() and not overwrite:
        raise BundleError(f"{output} exists; pass --overwrite to replace it, or choose another --output")
    if not output.parent.is_dir():
        raise BundleError(f"{output.parent} is no folder; make it, or choose another --output")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise BundleError(f"{output.parent} is not writable; choose another --output")


@contextlib.contextmanager
def writing_file(output: Path, overwrite: bool) -> Iterator[Path]:
    """Gives a path to write to, which becomes `output` when the block ends, and vanishes if it fails.

    Raises BundleError as `check_file_destination`, and where the disk does not take it.
    """
    partial = output.parent / f".{output.stem}.partial-{os.getpid()}.onnx"
    try:
        yield partial
        check_file_destination(output, overwrite)  # again, since others had time to put something there
        partial.replace(output)
    except OSError as error:
        raise BundleError(f"{output} cannot be written: {error.strerror or error}; choose another --output") from error
    finally:
        partial.unlink(missing_ok=True)
