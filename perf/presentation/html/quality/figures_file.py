"""Files with one quality figure for each model: JSON, or a tab-separated table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perf.errors import PerfError
from perf.presentation.html.quality.figures import Figure, Quality

EXPECTED = (
    'expected the JSON of evaluate, {"metric": "accuracy", "models": {"NAME": 0.81}}, or lines NAME<tab>0.81 below a '
    "line model<tab>accuracy"
)


def from_figures(path: Path, content: object) -> Quality:
    """Returns the quality in parsed JSON. Raises PerfError for another format."""
    metric, models = (content.get("metric"), content.get("models")) if isinstance(content, Mapping) else (None, None)
    if not isinstance(metric, str) or not isinstance(models, Mapping) or not models:
        raise PerfError(f"{path} has no metric, or no models; {EXPECTED}")
    return Quality(metric, {str(name): _figure(path, name, value) for name, value in models.items()})


def from_table(path: Path, text: str) -> Quality:
    """Returns the quality in a tab-separated table. Raises PerfError for another format."""
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    wrong = next((number for number, row in enumerate(rows, 1) if len(row) != 2), None)
    if wrong is not None:
        raise PerfError(f"{path}: row {wrong} has {len(rows[wrong - 1])} columns, not 2; {EXPECTED}")
    if len(rows) < 2:
        raise PerfError(f"{path} has no models; {EXPECTED}")
    models: dict[str, Figure] = {}
    for name, value in rows[1:]:
        if name in models:
            raise PerfError(f"{path} has two figures for {name}; {EXPECTED}")
        models[name] = _figure(path, name, value)
    return Quality(rows[0][1].strip(), models)


def _figure(path: Path, name: str, value: Any) -> Figure:
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):  # the last: an integer beyond the largest float
        found = math.nan
    if not math.isfinite(found):
        raise PerfError(f"{path}: the figure for {name} is {value!r}, which is not a finite number; {EXPECTED}")
    return Figure(found)
