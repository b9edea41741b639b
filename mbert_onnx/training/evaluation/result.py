"""What an evaluation found: a row for each model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

# The version of the JSON.
SCHEMA = 1


@dataclass(frozen=True)
class Score:
    """A metric's value, 0 to 1 (a correlation -1 to 1), and the 95 % interval that so few texts leave it.

    `low` and `high` are None where there is one text only.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Standing:
    """How one model did.

    Args:
        model: Its name.
        scores: By metric.
        agreement: The share of texts of which it says the same as the first model; of a regression, Pearson's
            correlation with it. None for the first.
        differences: By metric, the score less the first's, with the interval of that, text by text. Empty for it.
        ms, ms_low, ms_high: Mean time of a text, one at a time, on its own length: the median over passes, and its
            interval.
        cut: How many texts lost their end, because the model takes no more tokens.
    """

    model: str
    scores: dict[str, Score]
    agreement: float | None
    differences: dict[str, Score]
    ms: float
    ms_low: float
    ms_high: float
    cut: int


@dataclass(frozen=True)
class Evaluation:
    """All of them, on one set of texts.

    Args:
        task: Its name.
        data: Where the texts are from.
        split: Which part of it.
        texts: How many.
        standings: In the order in which models were given.
        paper: What the paper reports of the task, by model: percentages.
        notes: What a user should know, a line each.
        date, machine, threads: When and where times were measured.
    """

    task: str
    data: str
    split: str
    texts: int
    standings: list[Standing]
    paper: dict[str, tuple[float, ...]]
    notes: list[str]
    date: str
    machine: str
    threads: int

    def as_dict(self) -> dict[str, Any]:
        """For `json`, which has no number for what a model that answers NaN scores: that is None."""
        told = asdict(self, dict_factory=lambda fields: {name: _finite(value) for name, value in fields})
        return {"schema": "mbert-onnx/evaluation", "schema_version": SCHEMA, **told}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
