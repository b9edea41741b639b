"""The folder of an app: which one may be written or replaced, and the files in it that are not the app's."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mbert_onnx.bundles.atomic import atomic_folder, check_new_folder, write_errors
from mbert_onnx.errors import BundleError
from mbert_onnx.text.json_files import read_json

ADVICE = "choose another --output"
# The file that says that a folder is an app of ours, under which key, and which files are.
RECORD, GENERATOR, FILES = "app.json", "generator", "files"
OURS = "mbert-onnx app web"


def check_destination(output: Path, overwrite: bool) -> None:
    """Raises BundleError if an app may not be written to `output`; called before the work, so that none is lost.

    An app is replaced only with `overwrite`; any other folder that is not empty is never replaced.
    """
    check_new_folder(output, ADVICE)
    if not output.is_dir() or not any(output.iterdir()):
        return
    if own_files(output) is None:
        raise BundleError(f"{output} exists, and is not empty and not an app that this command wrote; {ADVICE}")
    if not overwrite:
        raise BundleError(f"{output} exists; pass --overwrite to replace the app in it, or {ADVICE}")


def own_files(folder: Path) -> set[str] | None:
    """Returns the files of the app in a folder, relative to it; None for another folder."""
    try:
        content: Any = read_json(folder / RECORD)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get(GENERATOR) != OURS or not isinstance(content.get(FILES), list):
        return None
    return {RECORD, *(name for name in content[FILES] if isinstance(name, str))}


@contextlib.contextmanager
def writing(output: Path, overwrite: bool, left_alone: list[str]) -> Iterator[Path]:
    """Yields a folder to fill, which becomes `output` when the block ends; deletes it on failure.

    Files in an app's folder that are not the app's stay there, and their names are added to `left_alone`.

    Raises BundleError as `check_destination`, and where the disk does not take it.
    """
    check_destination(output, overwrite)
    partial = output.with_name(f".{output.name}.partial-{os.getpid()}")

    def keep_others() -> None:
        check_destination(output, overwrite)  # again, because another program had time to put something there
        own = own_files(output) or set()
        for path in sorted(output.rglob("*")) if output.is_dir() else ():
            name, target = path.relative_to(output).as_posix(), partial / path.relative_to(output)
            if name in own or (path.is_dir() and not path.is_symlink()) or os.path.lexists(target):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
            left_alone.append(name)

    with write_errors(output, BundleError, advice=ADVICE):
        output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(output, partial, check=keep_others) as folder:
            yield folder
