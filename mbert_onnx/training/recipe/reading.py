"""Reading of recipes: TOML, and one line for the faults of a file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from mbert_onnx.errors import UsageError
from mbert_onnx.training.recipe.tables import Recipe, Table

# Faults of a recipe that an error message describes.
SHOWN_FAULTS = 5

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)

# Keys of files and folders that a training reads, in any table.
INPUT_KEYS = ("checkpoint", "word_embeddings", "folder", "files", "train", "validation", "test", "unlabelled")


def _check_inputs_outside_output(recipe: Recipe, path: Path) -> None:
    """Raises UsageError for an input inside the run folder, which `--overwrite` would remove."""
    output = recipe.output.resolve()
    for name, table in recipe:
        for key, place in _inputs(name, table):
            if place.resolve().is_relative_to(output):
                raise UsageError(f"{path}: {key} is {place}, inside of output, {recipe.output}; choose another output")


def _inputs(name: str, value: object) -> Iterator[tuple[str, Path]]:
    """Yields the keys and the paths of the files and folders that a table and the tables in it name."""
    for key, content in value if isinstance(value, Table) else ():
        for place in content if isinstance(content, list) else [content]:
            if isinstance(place, Table):
                yield from _inputs(f"{name}.{key}", place)
            elif key in INPUT_KEYS and place is not None:
                yield f"{name}.{key}", Path(place)


def read_recipe(path: Path, kind: type[AnyRecipe]) -> AnyRecipe:
    """Reads a recipe of that kind. Its paths are relative to the current directory.

    Raises UsageError, in one line, for a file that is not TOML, a missing or unknown key, or an invalid value.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; expected a recipe, a TOML file") from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror or error}); expected a recipe, a TOML file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML ({_reason(error)}); correct it") from error
    if _has_nul(content):
        raise UsageError(f"{path} has a NUL character, which no path may contain; correct it")
    try:
        recipe = kind.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{path}: {_all_faults(error)}") from None
    try:
        _check_inputs_outside_output(recipe, path)
    except OSError as error:  # such as a name that is too long
        raise UsageError(f"{path} has a path that cannot be used ({error}); correct it") from error
    return recipe


def _reason(error: ValueError | RecursionError) -> str:
    """Returns why a file is not TOML, in one line; Python's own advice on large numbers is for programmers."""
    if isinstance(error, RecursionError):
        return "its values are nested too deeply"
    if isinstance(error, tomllib.TOMLDecodeError | UnicodeDecodeError):
        return " ".join(str(error).split())
    return "a number has too many digits"


def _has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_nul, (*value, *value.values())))
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def _all_faults(error: ValidationError) -> str:
    """Describes a recipe's faults: the first ones in full, the others by their number."""
    faults = []
    for fault in error.errors()[:SHOWN_FAULTS]:
        place = ".".join(str(part) for part in fault["loc"]) or "the recipe"
        given = f", found {fault['input']!r}" if fault["type"] not in ("missing", "value_error") else ""
        faults.append(f"{place}: {_plain_message(fault['msg'])}{given}")
    more = error.error_count() - len(faults)
    return "; ".join(faults) + (f"; and {more} more" if more else "")


def _plain_message(message: str) -> str:
    """Turns pydantic's message into the rest of a one-line error."""
    message = message.removeprefix("Value error, ")
    known = {
        "Field required": "is missing",
        "Extra inputs are not permitted": "is not a key of a recipe of this kind",
        "Input is not a valid path for <class 'pathlib.Path'>": "input should be a path",
    }
    return known.get(message, message[:1].lower() + message[1:])
