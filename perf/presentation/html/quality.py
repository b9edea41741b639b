"""Reader of quality figures of models, from JSON or a tab-separated table."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.errors import PerfError, PerfUsageError
from perf.results.json_text import parse_json

EXPECTED = (
    'expected {"metric": "accuracy", "models": {"NAME": 0.81}}, or lines NAME<tab>0.81 below a line model<tab>accuracy'
)


@dataclass(frozen=True)
class Quality:
    """A quality figure for each model, and the name of the metric; higher is better."""

    metric: str
    models: dict[str, float]


def read_quality(path: Path, known: Collection[str]) -> Quality:
    """Reads quality figures from a `.json` file, or from a tab-separated table.

    Args:
        path: The file.
        known: Names of the reports' models.

    Raises:
        PerfError: the file cannot be read, or has another format.
        PerfUsageError: it has a figure for a model that no report has.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # Excel writes a byte order mark
    except OSError as error:
        raise PerfError(f"cannot read {path}: {error.strerror}; {EXPECTED}") from None
    except ValueError:
        raise PerfError(f"{path} is not UTF-8 text; {EXPECTED}") from None
    found = _from_json(path, text) if path.suffix == ".json" else _from_table(path, text)
    unknown = [name for name in found.models if name not in known]
    if unknown:
        raise PerfUsageError(
            f"{path} has a figure for {', '.join(unknown)}, which no report has; expected names among "
            f"{', '.join(dict.fromkeys(known))}: write them as in the report"
        )
    return found


def _from_json(path: Path, text: str) -> Quality:
    try:
        content = parse_json(text)
    except ValueError as error:
        raise PerfError(f"{path} is truncated or not JSON ({error}); {EXPECTED}") from None
    metric, models = (content.get("metric"), content.get("models")) if isinstance(content, Mapping) else (None, None)
    if not isinstance(metric, str) or not isinstance(models, Mapping) or not models:
        raise PerfError(f"{path} has no metric, or no models; {EXPECTED}")
    return Quality(metric, {str(name): _figure(path, name, value) for name, value in models.items()})


def _from_table(path: Path, text: str) -> Quality:
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    wrong = next((number for number, row in enumerate(rows, 1) if len(row) != 2), None)
    if wrong is not None:
        raise PerfError(f"{path}: row {wrong} has {len(rows[wrong - 1])} columns, not 2; {EXPECTED}")
    if len(rows) < 2:
        raise PerfError(f"{path} has no models; {EXPECTED}")
    models: dict[str, float] = {}
    for name, value in rows[1:]:
        if name in models:
            raise PerfError(f"{path} has two figures for {name}; {EXPECTED}")
        models[name] = _figure(path, name, value)
    return Quality(rows[0][1].strip(), models)


def _figure(path: Path, name: str, value: Any) -> float:
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):  # the last: an integer beyond the largest float
        found = math.nan
    if not math.isfinite(found):
        raise PerfError(f"{path}: the figure for {name} is {value!r}, which is not a finite number; {EXPECTED}")
    return found
