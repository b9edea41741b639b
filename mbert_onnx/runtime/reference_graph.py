"""Graph of a built-in model, optimized once into the user's cache.

The installed graph reads the checkpoint's tensors in `model.safetensors`, so that one copy of the weights serves torch,
transformers and onnxruntime. The optimized one has other weights, in float32: with it an installation would have three
times the size. No torch is needed to optimize.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mbert_onnx import __version__
from mbert_onnx.bundles.atomic import atomic_file
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.errors import BundleError, MbertError
from mbert_onnx.errors.requirements import require_beside
from mbert_onnx.reference import FOLDER

# Graphs that the cache keeps: those of two installations, which may be used by turns.
KEPT = 2

# Bytes of the weights and the graph that are hashed at once.
CHUNK = 2**20


def with_optimized_graph(bundle: Bundle, name: str) -> Bundle:
    """Returns the bundle of the built-in model `name` with its optimized graph, which is created on the first call.

    Where that fails, for example because the cache cannot be written, a line is logged, and the bundle is returned as
    it is: its answers are the same, and slower.
    """
    try:
        return replace(bundle, model_path=_optimized(bundle.model_path, name))
    except Exception as error:  # whatever it is, the installed graph works
        reason = " ".join(str(error).split()) or type(error).__name__
        _log(f"{name} runs its graph as it is, slower and without the native kernels: {reason}")
        return bundle


def _optimized(given: Path, name: str) -> Path:
    """Returns the optimized graph in the cache. Raises MbertError, or what optimizing raises."""
    for package in ("graphs", "perf"):
        require_beside(package)
    from perf.sessions.environments import VARIABLE, cache_folder

    try:
        folder = cache_folder() / name.replace(":", "-")
    except RuntimeError as error:  # no home
        raise MbertError(f"there is no folder for a cache ({error}); set {VARIABLE} to one") from error
    key = _key(given)
    if (kept := _kept(folder, key, name)) is not None:
        return kept
    _log(f"{name}: optimizing its graph once, into {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MbertError(f"{folder} cannot be written ({error.strerror}); set {VARIABLE} to another folder") from error
    file = folder / f"{key}.onnx"
    with atomic_file(file, BundleError, advice=f"set {VARIABLE} to another folder") as partial:
        _optimize(given, partial)
    file = file.replace(folder / f"{key}-{_digest(file)}.onnx")
    _remove_old(folder)
    return file


def _kept(folder: Path, key: str, name: str) -> Path | None:
    """Returns the graph of that key in the cache; deletes one whose content is not that which was written.

    Its name has the hash of its content, so that a damaged file is not run, and is created anew.
    """
    for file in sorted(folder.glob(f"{key}-*.onnx")):
        if file.is_file() and file.stem == f"{key}-{_digest(file)}":
            return file
        _log(f"{name}: {file} is damaged, and is created anew")
        file.unlink(missing_ok=True)
    return None


def _digest(path: Path) -> str:
    """Returns a hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _optimize(given: Path, output: Path) -> None:
    """Writes the optimized graph, verified as by `mbert_onnx.optimize`."""
    from graphs.errors import GraphError
    from graphs.model.loading import read_model
    from graphs.pipeline import optimize
    from mbert_onnx.bundles.onnx_writer import save_model

    outcome = optimize(read_model(given))
    save_model(outcome.model, output)
    if outcome.judge is not None and not outcome.judge.error_of_file(output) <= outcome.judge.bound:
        raise GraphError("the optimized graph is not the same model")


def _key(given: Path) -> str:
    """Returns a hash of all that the optimized graph depends on: the model, and the code of the passes."""
    digest = hashlib.sha256(__version__.encode())
    for path in (given, given.with_name("model.safetensors")):
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    # Passes change without a new version where this package is developed; reading all their code would take longer.
    for name, found in sorted(_sources(FOLDER.parent.parent / "graphs")):
        digest.update(f"{name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _sources(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from _sources(Path(entry.path))
        elif entry.name.endswith(".py"):
            yield entry.path, entry.stat()


def _remove_old(folder: Path) -> None:
    """Deletes the graphs of installations that are no longer there."""
    found = sorted(folder.glob("*.onnx"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in found[KEPT:]:
        path.unlink(missing_ok=True)


def _log(line: str) -> None:
    """Logs a line to `mbert_onnx`, which Python prints on standard error unless the program sets up logging."""
    logging.getLogger("mbert_onnx").warning(line)
