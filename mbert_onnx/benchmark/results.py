"""Reads, compares and plots the reports that `bench` has written."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from perf.presentation.comparison import Comparison
from perf.presentation.comparison import compare as compare_reports
from perf.presentation.html.quality.figures import Quality
from perf.results.report import Report
from perf.results.report_file import read_report as read


def read_report(path: str | Path) -> Report:
    """Returns the report that `bench` wrote to a file.

    Raises perf.errors.PerfError for a file that is missing, cut off, of another kind or of another version.
    """
    return read(Path(path))


def compare(old: str | Path, new: str | Path) -> Comparison:
    """Compares two reports: which models became faster or slower, at the same lengths and numbers of threads.

    Raises perf.errors.PerfError as `read_report` does; PerfUsageError where the reports have no model in common.
    """
    return compare_reports(read_report(old), read_report(new))


def write_html(
    results: Sequence[str | Path],
    page: str | Path,
    *,
    quality: str | Path | Sequence[str | Path] = (),
    metrics: Sequence[str] = (),
    command: Sequence[str] = (),
) -> None:
    """Writes one self-contained page: latency against length, quality, where the time goes, a roofline, the machine.

    Args:
        results: Files that `bench` has written.
        page: The `.html` to write.
        quality: Files with the quality of the models: what `evaluate` has written, which has intervals and differences,
            `{"metric": "accuracy", "models": {"random": 0.81}}`, or a tab-separated table whose header has the metric's
            name. Models have the names of the reports.
        metrics: Metrics of evaluations to show; default: the first of each.
        command: The command line that called this, for the page.

    Raises perf.errors.PerfError for a file that cannot be read or written, or where a package of the extra `report` is
    missing.
    """
    from perf.presentation.html import write_page

    reports = [read_report(path) for path in results]
    names = [Path(path).name for path in results]
    line = shlex.join(command) if command else None
    write_page(reports, Path(page), names=names, command=line, qualities=_qualities(reports, quality, metrics))


def write_plot(
    results: Sequence[str | Path],
    picture: str | Path,
    *,
    quality: str | Path | Sequence[str | Path] = (),
    metrics: Sequence[str] = (),
) -> None:
    """Plots latency against length as a `.png` or `.svg`; with `quality`, that against latency, depth and size.

    The arguments are those of `write_html`, and it raises as that does.
    """
    from perf.presentation.html import write_plot as draw

    reports = [read_report(path) for path in results]
    names = [Path(path).name for path in results]
    draw(reports, Path(picture), names=names, qualities=_qualities(reports, quality, metrics))


def _qualities(
    reports: Sequence[Report], quality: str | Path | Sequence[str | Path], metrics: Sequence[str]
) -> list[Quality]:
    from perf.presentation.html import read_quality

    known = [subject.name for report in reports for subject in report.subjects]
    files = [quality] if isinstance(quality, str | Path) else quality
    return [one for file in files for one in read_quality(Path(file), known, metrics)]
