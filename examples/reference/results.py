"""Results of the trainings of the built-in models, from the JSON files that their stages write."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mbert_onnx.training.evaluation.scores.intervals import seed_interval

SENTIMENT = re.compile(r"sentiment-(?P<arm>transfer|none)-(?P<seed>\d+)")


@dataclass(frozen=True)
class Figure:
    """A score with its 95 % interval, in percent; `low` and `high` are None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """The score with two decimals, and its interval in brackets."""
        return f"{self.value:.2f}{self._interval('')}"

    @property
    def signed(self) -> str:
        """The same of a difference, with signs."""
        return f"{self.value:+.2f}{self._interval('+')}".replace("-", "−")

    def _interval(self, sign: str) -> str:
        if self.low is None or self.high is None:
            return ""
        return f" ({self.low:{sign}.2f} to {self.high:{sign}.2f})"


def figure(score: dict[str, Any]) -> Figure:
    """Returns a score of `evaluate`'s JSON in percent."""
    low, high = score["low"], score["high"]
    return Figure(100 * score["value"], None if low is None else 100 * low, None if high is None else 100 * high)


def standings(path: Path) -> dict[str, dict[str, Any]]:
    """Returns the results of `evaluate --json` by model: the folder around a `model`, or the name as it was given."""
    found = {}
    for one in json.loads(path.read_text(encoding="utf-8")):
        for standing in one["standings"]:
            name = str(standing["model"])
            found[Path(name).parent.name if Path(name).name == "model" else name] = standing
    return found


@dataclass(frozen=True)
class Arm:
    """Accuracy of an arm on the test reviews, over its seeds.

    Args:
        seeds: Accuracy in percent with each seed.
        right: 1 or 0 for each text, ``[seeds, texts]``.
    """

    seeds: list[float]
    right: np.ndarray

    @property
    def mean(self) -> float:
        """Mean accuracy in percent."""
        return float(100 * self.right.mean())


def sentiment_arms(test: Path) -> dict[str, Arm]:
    """Returns the arms in a file with the results of `sentiment-ARM-SEED`."""
    by_arm: dict[str, list[tuple[int, Any]]] = {}
    for name, standing in standings(test).items():
        if matched := SENTIMENT.fullmatch(name):
            right = np.array(standing["by_text"]["accuracy"])
            by_arm.setdefault(matched["arm"], []).append((int(matched["seed"]), right))
    arms = {}
    for arm, rows in by_arm.items():
        values = np.stack([right for _, right in sorted(rows, key=lambda row: row[0])])
        arms[arm] = Arm([float(100 * value) for value in values.mean(axis=1)], values)
    return arms


def arm_difference(better: Arm, worse: Arm) -> Figure:
    """Returns the difference of two arms in points, with its interval over seeds and texts, paired by both."""
    values = better.right - worse.right
    low, high = seed_interval(values) or (None, None)
    return Figure(float(100 * values.mean()), None if low is None else 100 * low, None if high is None else 100 * high)
