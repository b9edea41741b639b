"""Results of the experiment by arm and seed, from the files that its stages write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from examples.experiments.paper_in_small.recipe import SENTIMENT, STUDENT

ByArm = dict[str, np.ndarray]
"""For each arm the value of each text with each seed, ``[seeds, texts]``."""


def accuracies(evaluation: Path) -> dict[tuple[str, int, str], tuple[str, np.ndarray]]:
    """Returns for each arm, seed and learning rate the model's name, and 1 or 0 for each text.

    Args:
        evaluation: What `evaluate --json` has written for fine-tuned models.
    """
    [one] = json.loads(evaluation.read_text(encoding="utf-8"))
    found = {}
    for standing in one["standings"]:
        arm, seed, rate = _matched(SENTIMENT, standing["model"])
        found[arm, int(seed), rate] = standing["model"], np.array(standing["by_text"]["accuracy"])
    return found


def best_rates(validation: Path) -> dict[str, str]:
    """Returns for each arm the learning rate with the highest mean accuracy over its seeds; of equal ones the first."""
    means: dict[tuple[str, str], list[float]] = {}
    for (arm, _, rate), (_, right) in accuracies(validation).items():
        means.setdefault((arm, rate), []).append(float(right.mean()))
    best: dict[str, tuple[float, str]] = {}
    for (arm, rate), values in means.items():
        mean = sum(values) / len(values)
        if arm not in best or mean > best[arm][0]:
            best[arm] = mean, rate
    return {arm: rate for arm, (_, rate) in best.items()}


def chosen_models(validation: Path) -> list[str]:
    """Returns the names of the models with the best learning rate of their arm."""
    rates = best_rates(validation)
    return [name for (arm, _, rate), (name, _) in accuracies(validation).items() if rate == rates[arm]]


def sentiment(test: Path) -> ByArm:
    """Returns the accuracy of each chosen model on each test review."""
    return _by_arm({(arm, seed): right for (arm, seed, _), (_, right) in accuracies(test).items()})


def masked_words(path: Path) -> tuple[ByArm, np.ndarray | None]:
    """Returns the share of masked words that each student predicts in each sentence; and the teacher's ``[texts]``."""
    read: Mapping[str, list[float]] = json.loads(path.read_text(encoding="utf-8"))
    teacher, students = None, {}
    for name, shares in read.items():
        if Path(name).parent.name == "teacher":
            teacher = np.array(shares)
            continue
        arm, seed = _matched(STUDENT, name)
        students[arm, int(seed)] = np.array(shares)
    return _by_arm(students), teacher


def _by_arm(found: Mapping[tuple[str, int], np.ndarray]) -> ByArm:
    arms = dict.fromkeys(arm for arm, _ in found)
    return {arm: np.stack([found[key] for key in sorted(found) if key[0] == arm]) for arm in arms}


def _matched(pattern: re.Pattern[str], name: str) -> tuple[str, ...]:
    """Returns the parts of a checkpoint's name, `…/NAME/model`. Raises ValueError for another name."""
    found = pattern.fullmatch(Path(name).parent.name)
    if found is None:
        raise ValueError(f"{name} is no model of the experiment; expected a name such as student-joint-1/model")
    return found.groups()
