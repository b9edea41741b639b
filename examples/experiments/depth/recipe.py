"""Recipe of one training of the depth curve, named as in the Makefile.

    python -m examples.experiments.depth.recipe NAME FOLDER CORPUS [NAME=VALUE...]

NAME is `shorten-sentiment-LAYERS`, `sentiment-LAYERS` or `embed-LAYERS`; LAYERS is the number of the first layers that
are kept, or their numbers from 0, such as `0+2+4`. The recipe is written to FOLDER/NAME.toml. Values replace those of
`DEFAULTS`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from examples.experiments.fill_recipe import fill, main

HERE = Path(__file__).parent

# The models that are shortened; steps of transfer, and of a classifier's logits; steps of fine-tuning, and of vectors.
DEFAULTS = {"sentiment": "reference", "embed": "reference:embed", "steps": "400", "task_steps": "800"}

NAME = re.compile(r"(?P<template>shorten-sentiment|sentiment|embed)-(?P<name>\d+(\+\d+)*)")


def recipe(name: str, values: Mapping[str, object]) -> str:
    """Returns the recipe of a training.

    Args:
        name: Its name.
        values: `folder` of the experiment, `corpus`, and all of `DEFAULTS`.

    Raises ValueError for an unknown name.
    """
    found = NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name} is given; expected shorten-sentiment-LAYERS, sentiment-LAYERS or embed-LAYERS")
    chosen = found["name"]
    layers = f"[{', '.join(chosen.split('+'))}]" if "+" in chosen else chosen
    return fill(HERE / f"{found['template']}.toml", {**values, "name": chosen, "layers": layers})


if __name__ == "__main__":
    main("examples.experiments.depth.recipe", recipe, DEFAULTS)
