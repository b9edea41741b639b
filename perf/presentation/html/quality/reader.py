"""Reader of quality figures: the results of `evaluate`, or a file with one number for each model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from perf.errors import PerfError, PerfUsageError
from perf.presentation.html.quality.evaluation_file import from_evaluations, is_evaluation
from perf.presentation.html.quality.figures import Quality
from perf.presentation.html.quality.figures_file import EXPECTED, from_figures, from_table
from perf.results.json_text import parse_json, printable


def read_quality(path: Path, known: Collection[str], metrics: Sequence[str] = ()) -> list[Quality]:
    """Reads quality figures: what `evaluate --json` has written, `{"metric": …, "models": …}`, or a table.

    Args:
        path: The file: JSON if its name ends in `.json`, else a tab-separated table.
        known: Names of the reports' models.
        metrics: Metrics of an evaluation to read; default: its first.

    Returns one quality for each metric and each set of texts. Models of an evaluation that no report has are kept, for
    tables.

    Raises:
        PerfError: the file cannot be read, or has another format.
        PerfUsageError: it has a figure for a model that no report has, or is an evaluation of such models alone, or has
            none of the metrics.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # Excel writes a byte order mark
    except OSError as error:
        raise PerfError(f"cannot read {path}: {error.strerror}; {EXPECTED}") from None
    except ValueError:
        raise PerfError(f"{path} is not UTF-8 text; {EXPECTED}") from None
    content = _parsed(path, text) if path.suffix == ".json" else None
    if is_evaluation(content):
        found = from_evaluations(path, content, metrics)
        if not any(name in known for quality in found for name in quality.figures):
            raise PerfUsageError(
                f"{path} evaluates {_list(found[0].figures)}, of which no report has any; expected names among "
                f"{_list(known)}: give evaluate and bench the same names"
            )
        return found
    one = from_table(path, text) if content is None else from_figures(path, content)
    unknown = [name for name in one.figures if name not in known]
    if unknown:
        raise PerfUsageError(
            f"{path} has a figure for {', '.join(unknown)}, which no report has; expected names among "
            f"{_list(known)}: write them as in the report"
        )
    if metrics and one.metric not in metrics:
        raise PerfUsageError(f"{path} has the metric {one.metric!r}, not {', '.join(metrics)}; leave out --metric")
    return [one]


def _parsed(path: Path, text: str) -> object:
    try:
        return printable(parse_json(text)) or {}
    except ValueError as error:
        raise PerfError(f"{path} is truncated or not JSON ({error}); {EXPECTED}") from None


def _list(names: Collection[str]) -> str:
    return ", ".join(dict.fromkeys(names))
