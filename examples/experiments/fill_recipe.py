"""Recipes from a template: a TOML file in which `$NAME` stands for a value.

One template serves all trainings of an experiment, which differ in a few values.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from string import Template


def fill(template: Path, values: Mapping[str, object]) -> str:
    """Returns the recipe. Raises ValueError for a value that is missing; others are not used."""
    text = Template(template.read_text(encoding="utf-8"))
    missing = set(text.get_identifiers()) - set(values)
    if missing:
        raise ValueError(f"{template} needs {_list(missing)}; give NAME=VALUE for each of them")
    return text.substitute(values)


def main(module: str, recipe: Callable[[str, dict[str, str]], str], defaults: Mapping[str, str]) -> None:
    """Writes the recipe that the command line names: `NAME FOLDER CORPUS [NAME=VALUE...]`, to FOLDER/NAME.toml.

    Args:
        module: Name of the program, for messages.
        recipe: Returns the recipe of a training, given its name and all values. Raises ValueError for an unknown name.
        defaults: Values that the command line may replace, for a trial.
    """
    if len(sys.argv) < 4:
        sys.exit(f"usage: python -m {module} NAME FOLDER CORPUS [NAME=VALUE...]")
    name, folder, corpus, *given = sys.argv[1:]
    try:
        values = {**defaults, **_pairs(given, defaults), "folder": folder, "corpus": corpus}
        text, path = recipe(name, values), Path(folder, f"{name}.toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        sys.exit(f"{module}: {error}")


def _pairs(arguments: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    pairs = [argument.partition("=") for argument in arguments]
    wrong = [name for name, equals, _ in pairs if not equals or name not in known]
    if wrong:
        raise ValueError(f"{wrong[0]} is given; expected NAME=VALUE with a name among {_list(known)}")
    return {name: value for name, _, value in pairs}


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
