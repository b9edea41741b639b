"""Result of an evaluation: scores and times of each model on one set of texts."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

# Version of the JSON layout.
SCHEMA = 1


@dataclass(frozen=True)
class Score:
    """Value of a metric, 0 to 1 (a correlation: -1 to 1), with its 95 % interval over texts.

    `low` and `high` are None for a single text.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Standing:
    """Result of one model.

    Args:
        model: Name of the model.
        scores: Scores by metric.
        agreement: Share of texts with the same prediction as the first model (in retrieval: the same first paragraph);
            for a regression or similarities, Pearson's correlation with the first model's. None for the first model.
        differences: By metric, score minus that of the first model, with the paired interval over texts. Empty for the
            first model.
        ms, ms_low, ms_high: Mean time per text in ms, one at a time, unpadded: median over passes and its interval.
        cut: Number of texts that were truncated to the model's length.
        by_text: Value of each text, in the order of the data, by metric: of metrics that are means over texts, so that
            models of different evaluations, such as seeds of a training, can be compared text by text.
        cosine: Mean cosine between the vectors of texts and those of the first model; None for the first model, for
            vectors of another size, and for tasks without vectors.
    """

    model: str
    scores: dict[str, Score]
    agreement: float | None
    differences: dict[str, Score]
    ms: float
    ms_low: float
    ms_high: float
    cut: int
    by_text: dict[str, tuple[float, ...]] = field(default_factory=dict)
    cosine: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Results of all models on one set of texts.

    Args:
        task: Name of the task.
        data: Source of the texts.
        split: Split of the data.
        texts: Number of texts.
        standings: Results in the order of the models.
        paper: Scores that the paper reports for the task, by model, in percent.
        notes: Notes for the user, one line each.
        date, machine, threads: Date, processor and threads of the time measurement.
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
        """Returns the content of the JSON file; NaN and infinite scores are None, since JSON has no such numbers."""
        content = asdict(self, dict_factory=lambda fields: {name: _finite(value) for name, value in fields})
        return {"schema": "mbert-onnx/evaluation", "schema_version": SCHEMA, **content}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
