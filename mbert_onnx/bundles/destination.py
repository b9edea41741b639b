"""Destination of a bundle: whether it may be written, and what of a bundle that is there it changes."""

from __future__ import annotations

import contextlib
import os
from enum import Enum
from pathlib import Path

from mbert_onnx.bundles.atomic import write_errors
from mbert_onnx.bundles.records import CONFIG, METADATA, VARIANTS, Records
from mbert_onnx.errors import BundleError

ADVICE = "choose another --output"


class Change(Enum):
    """Effect of writing a bundle on its folder."""

    NEW = "the folder is new, or was empty"
    ADD = "a precision is added to those of the same checkpoint"
    REPLACE_MODEL = "the model file of a precision is replaced, and all other files stay"
    REPLACE_BUNDLE = "the files of a bundle of another checkpoint are replaced"


def check_destination(
    output: Path, overwrite: bool, precision: str = "fp32", checkpoint: dict[str, str] | None = None
) -> Change:
    """Raises BundleError if a bundle may not be written to `output`; called before the work, so that none is lost.

    Another precision of the same checkpoint is added. What is there, a precision or a bundle of another checkpoint, is
    replaced only with `overwrite`; any other folder that is not empty is never replaced.

    Args:
        output: The bundle.
        overwrite: Whether to replace.
        precision: The precision that is written.
        checkpoint: SHA-256 of the parts of its checkpoint; None if it is not read yet: then the bundle that is there
            may be of the same one.
    """
    with output_errors(output):
        _check_place(output)
        if not output.is_dir() or not any(output.iterdir()):
            return Change.NEW
        return _change(output, overwrite, precision, checkpoint)


def output_errors(output: Path) -> contextlib.AbstractContextManager[None]:
    """Turns errors of writing the bundle into BundleError."""
    return write_errors(output, BundleError, advice=ADVICE)


def _check_place(output: Path) -> None:
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise BundleError(f"{output} exists and is not a folder; {ADVICE}")
    if Path.cwd().is_relative_to(output.resolve()):
        # It can be renamed, but a shell whose working directory it is would stay in the old one.
        raise BundleError(f"{output} is the current folder, or around it; {ADVICE}")
    if output.is_dir() and any(output.iterdir()) and not (output / METADATA).is_file():
        raise BundleError(f"{output} exists and is not a bundle that export wrote; {ADVICE}")
    existing = next(parent for parent in output.absolute().parents if parent.exists())
    if not existing.is_dir():
        raise BundleError(f"{existing} is not a folder; {ADVICE}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise BundleError(f"{existing} is not writable; {ADVICE}")


def _change(output: Path, overwrite: bool, precision: str, checkpoint: dict[str, str] | None) -> Change:
    """Returns what writing changes of the bundle that is there."""
    records, file = Records.read(output), output / VARIANTS[precision]
    for name in (CONFIG, VARIANTS[precision]):
        if (output / name).is_dir():
            raise BundleError(f"{output / name} is a folder, expected a file; move it away, or {ADVICE}")
    if file.parent.exists() and not file.parent.is_dir():
        raise BundleError(f"{file.parent} is a file, expected a folder; move it away, or {ADVICE}")
    replace = f"pass --overwrite to replace it, or {ADVICE}"
    if precision in records.precisions and not overwrite:
        raise BundleError(f"{file} exists; {replace}")
    if records.checkpoint is None and not overwrite:
        raise BundleError(
            f"{output} exists, and does not say of which checkpoint it is, because an older version wrote it; {replace}"
        )
    differences = [] if checkpoint is None else records.differences(checkpoint)
    if differences and not overwrite:
        parts = " and ".join(differences)
        raise BundleError(f"{output} exists, a bundle of another checkpoint (another {parts}); {replace}")
    if differences:
        return Change.REPLACE_BUNDLE
    is_there = os.path.lexists(file)
    if is_there and not overwrite:
        raise BundleError(f"{file} exists, and {METADATA} has no record of it; {replace}")
    return Change.REPLACE_MODEL if is_there else Change.ADD
