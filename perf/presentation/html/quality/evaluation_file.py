"""Results that `mbert-onnx evaluate --json` has written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cattrs

from perf.errors import PerfError, PerfUsageError
from perf.presentation.html.quality.figures import Figure, Quality

SCHEMA, SCHEMA_VERSION = "mbert-onnx/evaluation", 1
EXPECTED = "expected the JSON of evaluate: evaluate again"

CORRELATIONS = ("matthews_correlation", "pearson", "spearman")
"""Metrics from -1 to 1; all others are shares."""


@dataclass(frozen=True)
class _Score:
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class _Standing:
    model: str
    scores: dict[str, _Score]
    differences: dict[str, _Score]


@dataclass(frozen=True)
class _Evaluation:
    """The part of an evaluation that a page shows."""

    task: str
    data: str
    split: str
    texts: int
    standings: list[_Standing]


def is_evaluation(content: object) -> bool:
    """Returns whether parsed JSON is a list of evaluations."""
    return isinstance(content, list) and any(isinstance(one, dict) and one.get("schema") == SCHEMA for one in content)


def from_evaluations(path: Path, content: Any, metrics: Sequence[str]) -> list[Quality]:
    """Returns a quality for each evaluation and metric, in percent as `evaluate` prints them.

    Args:
        path: The file, for messages.
        content: Its parsed JSON, for which `is_evaluation` is true.
        metrics: Names of metrics; empty: the first of each evaluation.

    Raises PerfError for another version or content, PerfUsageError if no evaluation has a metric.
    """
    wrong = next((one for one in content if one.get("schema_version") != SCHEMA_VERSION), None)
    if wrong is not None:
        raise PerfError(f"{path} is of version {wrong.get('schema_version')!r}, not {SCHEMA_VERSION}; {EXPECTED}")
    try:
        evaluations = cattrs.structure(content, list[_Evaluation])
    except Exception as error:  # cattrs raises groups of errors
        raise PerfError(f"{path} is not complete: {cattrs.transform_error(error)[0]}; {EXPECTED}") from None
    if not all(one.standings and one.standings[0].scores for one in evaluations):
        raise PerfError(f"{path} has an evaluation without a model or a score; {EXPECTED}")
    known = list(dict.fromkeys(metric for one in evaluations for metric in one.standings[0].scores))
    unknown = [metric for metric in metrics if metric not in known]
    if unknown:
        raise PerfUsageError(f"{path} has no metric {', '.join(unknown)}; expected --metric among {', '.join(known)}")
    found = [
        _quality(path, one, metric)
        for one in evaluations
        for metric in (metrics or list(one.standings[0].scores)[:1])
        if metric in one.standings[0].scores
    ]
    if not any(quality.figures for quality in found):
        raise PerfError(f"{path} has no figure that is a number; {EXPECTED}")
    return found


def _quality(path: Path, one: _Evaluation, metric: str) -> Quality:
    def figures(scores: Callable[[_Standing], dict[str, _Score]]) -> dict[str, Figure]:
        named = [(standing.model, scores(standing).get(metric)) for standing in one.standings]
        return {name: _figure(path, score) for name, score in named if score is not None and score.value is not None}

    return Quality(
        f"{metric.replace('_', ' ')}{' × 100' if metric in CORRELATIONS else ', %'}",
        figures(lambda standing: standing.scores),
        figures(lambda standing: standing.differences),
        f"{one.task}, {one.split} of {one.data}: {one.texts:,} texts",
    )


def _figure(path: Path, score: _Score) -> Figure:
    numbers = [None if number is None else 100 * number for number in (score.value, score.low, score.high)]
    value, low, high = numbers
    if value is None or any(number is not None and not math.isfinite(number) for number in numbers):
        raise PerfError(f"{path} has the score {score.value!r}, which is not a finite number; {EXPECTED}")
    return Figure(value, low, high)
