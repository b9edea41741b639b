"""Reads a bundle: a folder written by `export`, or one of optimum or transformers.js.

A bundle has `onnx/model.onnx` (or `model.onnx`, as optimum writes it; or a variant, such as `onnx/model_int8.onnx`),
`config.json`, and usually `tokenizer.json`, `tokenizer_config.json` and `mbert_onnx.json`. With several precisions side
by side, the folder stands for the first of `MODELS` that is there, and the path of a file chooses another one. Only
small JSON files are read here; the runtime reads the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbert_onnx.bundles.proto_file import is_text_file
from mbert_onnx.bundles.records import (
    CONFIG,
    METADATA,
    TEXT_VARIANTS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    VARIANTS,
    record_of,
)
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.reference import located
from mbert_onnx.text.json_files import brief, read_json
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.tasks import TASKS, Task, task_named, task_of_architectures

# Sizes in config.json that are used with a model file, with their smallest values.
SIZES = {"vocab_size": 1, "max_position_embeddings": 1, "type_vocab_size": 1, "pad_token_id": -1}
# More rows than an embedding table has: ONNX models of 2 GB have at most 2^29 numbers.
MANY_ROWS = 2**31
# In the order in which they are looked for.
ORDINARY = (VARIANTS["fp32"], "model.onnx", VARIANTS["fp16"], VARIANTS["int8"])
# A folder stands for a text file only if it has no other model.
MODELS = (*ORDINARY, TEXT_VARIANTS["fp32"], "model_text.onnx", TEXT_VARIANTS["fp16"], TEXT_VARIANTS["int8"])


@dataclass(frozen=True)
class Bundle:
    """The paths of a bundle's parts, and the content of its JSON files.

    `metadata` is the record of the model file, None where the folder has no `mbert_onnx.json`; `tokenizer_path` is None
    where it has no `tokenizer.json`; `tokenizer_config` is empty where it has no `tokenizer_config.json`.
    """

    folder: Path
    model_path: Path
    config: dict[str, Any]
    metadata: dict[str, Any] | None
    task: Task
    tokenizer_path: Path | None
    tokenizer_config: dict[str, Any]


def is_bundle(path: Path) -> bool:
    """Returns whether a folder has a model file at one of the places that a bundle has it."""
    return default_model(path) is not None


def default_model(folder: Path) -> Path | None:
    """Returns the model file that a folder stands for; None if it has none."""
    return next((folder / name for name in MODELS if (folder / name).is_file()), None)


def find_text_file(model: str | Path) -> Path | None:
    """Returns the text file that a path names, or that the folder at a path has as its only model; None for another."""
    path = located(model)
    if path.is_dir():
        path = default_model(path) or path
    return path if path.is_file() and is_text_file(path) else None


def read_bundle(path: str | Path) -> Bundle:
    """Reads the bundle at `path`: its folder, or one of its `.onnx` files (which selects a variant, such as int8); or
    the built-in `reference`.

    Raises BundleError where the folder, the model or `config.json` is missing, a JSON file cannot be read, or
    neither `mbert_onnx.json` nor the config's `architectures` names a task.
    """
    path = located(path)
    if path.is_dir():
        _check_not_inside(path)
        folder, model_path = path, _model_in(path)
    elif path.is_file():
        folder, model_path = _folder_around(path), path
    else:
        raise BundleError(f"{path} does not exist. Give the folder of a bundle, which `mbert-onnx export` writes.")
    config = _read_json(folder / CONFIG)
    _check_sizes(config, folder / CONFIG)
    metadata = _read_json(folder / METADATA) if (folder / METADATA).exists() else None
    if metadata is not None:
        metadata = record_of(metadata, model_path.absolute().relative_to(folder.absolute()).as_posix())
    tokenizer_path = folder / TOKENIZER
    tokenizer_config = folder / TOKENIZER_CONFIG
    return Bundle(
        folder=folder,
        model_path=model_path,
        config=config,
        metadata=metadata,
        task=_task_of(folder, config, metadata),
        tokenizer_path=tokenizer_path if tokenizer_path.is_file() else None,
        tokenizer_config=_read_json(tokenizer_config) if tokenizer_config.exists() else {},
    )


def _check_not_inside(folder: Path) -> None:
    """Raises BundleError for the folder `onnx` of a bundle, whose config is one folder up."""
    around = folder.absolute().parent
    if folder.name != ".." and not (folder / CONFIG).is_file() and (around / CONFIG).is_file() and is_bundle(around):
        shown = folder.parent if folder.name else around  # the name of the current folder is empty
        raise BundleError(f"{folder} has no {CONFIG}; the bundle is the folder around it: give {shown}")


def _model_in(folder: Path) -> Path:
    found = default_model(folder)
    if found is not None:
        return found
    others = sorted(str(found.relative_to(folder)) for found in [*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")])
    advice = (
        f"It has {name_list(others)}: give the path of one of them."
        if others
        else "Give the folder of a bundle, which `mbert-onnx export` writes."
    )
    raise BundleError(f"{folder} has no {MODELS[0]}. {advice}")


def _folder_around(model_path: Path) -> Path:
    if model_path.suffix != ".onnx":
        raise BundleError(
            f"{model_path} is a file, but not an .onnx. Give the folder of a bundle, or an .onnx inside it."
        )
    parent = model_path.absolute().parent
    # transformers.js keeps the models in onnx/ and the config above it; optimum keeps them side by side.
    for folder in (parent, parent.parent):
        if (folder / CONFIG).is_file():
            return folder
    raise BundleError(
        f"{model_path} has no {CONFIG} beside it or in the folder above, so it is not part of a bundle. "
        f"Put the checkpoint's {CONFIG} there."
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise BundleError(f"{path} is missing. Copy the checkpoint's {path.name} there, or export it again.") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror or error}). Correct its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is not readable JSON ({error}). Export the bundle again.") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path} holds a {type(content).__name__}, expected a JSON object. Export the bundle again.")
    return content


def _check_sizes(config: dict[str, Any], path: Path) -> None:
    """Raises BundleError for a size that is no number of rows: it would only be noticed where it is used."""
    for key, least in SIZES.items():
        value = config.get(key)
        if value is not None and not (type(value) is int and least <= value < MANY_ROWS):
            raise BundleError(
                f"{path} has {key} = {brief(value)}, expected an integer from {least} to {MANY_ROWS - 1}. Correct it."
            )


def _task_of(folder: Path, config: dict[str, Any], metadata: dict[str, Any] | None) -> Task:
    if metadata and "task" in metadata:
        try:
            return task_named(str(metadata["task"]))
        except UsageError as error:
            raise BundleError(f"{folder / METADATA}: {error}") from error
    architectures = config.get("architectures")
    task = task_of_architectures(architectures if isinstance(architectures, list) else None)
    if task is None:
        known = ", ".join(task.architecture for task in TASKS)
        raise BundleError(
            f"{folder / CONFIG} names no task: its architectures are {architectures!r}, expected one of {known}. "
            f'Add it there, or {{"task": ...}} as {METADATA}.'
        )
    return task
