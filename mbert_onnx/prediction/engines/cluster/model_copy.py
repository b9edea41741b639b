"""Copies of a model for other machines: one archive of its files, unpacked once on each machine."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from mbert_onnx.bundles.atomic import atomic_folder, write_errors
from mbert_onnx.bundles.reader import find_text_file, read_bundle
from mbert_onnx.bundles.records import CONFIG, METADATA, TOKENIZER, TOKENIZER_CONFIG
from mbert_onnx.errors import BundleError, MbertError
from mbert_onnx.errors.requirements import require_beside
from mbert_onnx.reference import is_reference

# The folder of copies in the cache of a machine.
COPIES = "copies"


@dataclass(frozen=True)
class ModelCopy:
    """Identity of an archive: a hash of its files, and the model file's path among them."""

    digest: str
    model: str


def pack(bundle: str) -> tuple[ModelCopy, np.ndarray[Any, Any]] | None:
    """Returns an archive of the files that `load` reads of a bundle, as bytes; None for a built-in model.

    Raises BundleError for a bundle that cannot be read.
    """
    if is_reference(bundle):
        return None
    text_file = find_text_file(bundle)
    if text_file is not None:
        model, folder, others = text_file, text_file.parent, []
    else:
        found = read_bundle(bundle)
        model, folder = found.model_path, found.folder
        others = [folder / name for name in (CONFIG, METADATA, TOKENIZER, TOKENIZER_CONFIG)]
    files = [model, *_external_files(model), *(file for file in others if file.is_file())]
    named = {file.absolute().relative_to(folder.absolute()).as_posix(): file for file in files}
    content = io.BytesIO()
    try:
        with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
            for name, file in named.items():
                archive.write(file, name)
    except OSError as error:
        raise BundleError(f"{error.filename or folder} cannot be read ({error.strerror or error})") from error
    copy = ModelCopy(_digest(named.items()), model.absolute().relative_to(folder.absolute()).as_posix())
    return copy, np.frombuffer(content.getbuffer(), np.uint8)


def unpacked(copy: ModelCopy) -> Path | None:
    """Returns the path of a model that is unpacked on this machine; None where it is not, or is damaged."""
    folder = _folder(copy)
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    is_whole = bool(names) and _digest((name, folder / name) for name in names) == copy.digest
    return folder / copy.model if is_whole else None


def unpack(copy: ModelCopy, archive: np.ndarray[Any, Any]) -> Path:
    """Unpacks a model into the cache of this machine, once for all processes; returns its path.

    Raises BundleError where the cache cannot be written.
    """
    from perf.sessions.environments import CACHE_ADVICE

    folder = _folder(copy)
    with write_errors(folder, BundleError, advice=CACHE_ADVICE):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if (found := unpacked(copy)) is not None:
                return found
            with (
                atomic_folder(folder, folder.with_suffix(".partial")) as partial,
                zipfile.ZipFile(io.BytesIO(archive.tobytes())) as files,
            ):
                files.extractall(partial)
    return folder / copy.model


def _folder(copy: ModelCopy) -> Path:
    require_beside("perf")
    from perf.errors import PerfError
    from perf.sessions.environments import cache_folder

    try:
        return cache_folder() / COPIES / copy.digest
    except PerfError as error:  # no home
        raise MbertError(str(error)) from error


def _external_files(model: Path) -> list[Path]:
    """Returns the files with weights that a model file names."""
    require_beside("graphs")
    from graphs.errors import GraphError
    from graphs.model.external_data import external_files
    from graphs.model.loading import read_model

    try:
        return external_files(read_model(model, values=False))
    except GraphError as error:
        raise BundleError(str(error)) from error


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    """Returns a hash of the names and contents of files."""
    digest = hashlib.sha256()
    for name, file in sorted(files):
        with file.open("rb") as stream:
            digest.update(f"{name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:32]
