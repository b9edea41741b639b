"""Recipe of one training of the experiment, named as in the Makefile.

    python -m examples.experiments.paper_in_small.recipe NAME FOLDER CORPUS [NAME=VALUE...]

NAME is `teacher`, `student-ARM-SEED` or `sentiment-ARM-SEED-RATE`; the recipe is written to FOLDER/NAME.toml. Values
replace those of `SIZES`, for a trial.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from examples.experiments.fill_recipe import fill, main
from examples.experiments.paper_in_small.arms import ARMS

HERE = Path(__file__).parent

# Steps of each of the two parts of the teacher's and of a student's training; passes over the training reviews.
SIZES = {"teacher_steps": "1000", "steps": "300", "epochs": "2"}

STUDENT = re.compile(rf"student-(?P<arm>{'|'.join(ARMS)})-(?P<seed>\d+)")
SENTIMENT = re.compile(rf"sentiment-(?P<arm>{'|'.join(ARMS)})-(?P<seed>\d+)-(?P<rate>\d[\d.e-]*)")


def recipe(name: str, values: Mapping[str, object]) -> str:
    """Returns the recipe of a training.

    Args:
        name: Its name.
        values: `folder` of the experiment, `corpus`, and all of `SIZES`.

    Raises ValueError for an unknown name.
    """
    if name == "teacher":
        return fill(HERE / "teacher.toml", values)
    if found := STUDENT.fullmatch(name):
        arm = ARMS[found["arm"]]
        own = {"strategy": arm.strategy, "feature_maps": arm.feature_maps, "attention": arm.attention}
        return fill(HERE / "student.toml", {**values, **found.groupdict(), **own})
    if found := SENTIMENT.fullmatch(name):
        return fill(HERE / "sentiment.toml", {**values, **found.groupdict()})
    raise ValueError(f"{name} is given; expected teacher, student-ARM-SEED or sentiment-ARM-SEED-RATE")


if __name__ == "__main__":
    main("examples.experiments.paper_in_small.recipe", recipe, SIZES)
