"""Plot of latency as a PNG or SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perf.errors import PerfUsageError
from perf.results.file_writer import writing_file
from perf.results.report import Report

FORMATS = (".png", ".svg")
DPI = 160
LEGEND_LINE_IN = 0.19


def write_plot(report: Report | Sequence[Report], path: Path, *, names: Sequence[str] | None = None) -> None:
    """Draws latency against length, a chart for each number of threads side by side, and a legend below.

    Args:
        report: One report, or several on the same charts.
        path: The file to write; its suffix selects PNG or SVG.
        names: Names of the reports, to distinguish equal models; default: their numbers.

    Raises:
        PerfUsageError: another suffix, or reports without a measurement.
        PerfError: matplotlib is missing, or the file cannot be written.
    """
    from perf.presentation.html.plots.drawing import (  # before matplotlib: it raises PerfError if that is missing
        WIDTH_IN,
        style,
    )
    from perf.presentation.html.plots.latency import HEIGHT_IN, draw_latency
    from perf.presentation.html.series import all_series, thread_counts

    from matplotlib.figure import Figure  # isort: skip

    reports = [report] if isinstance(report, Report) else list(report)
    counts = thread_counts(reports)
    if path.suffix not in FORMATS:
        raise PerfUsageError(
            f"{path} ends in {path.suffix or 'nothing'}; expected a file name that ends in .png or .svg"
        )
    if not counts:
        raise PerfUsageError("the reports have no measurement; expected at least one to draw: measure again")
    series = all_series(reports, names or [str(number) for number in range(1, len(reports) + 1)])
    with style(path.name):
        legend_in = LEGEND_LINE_IN * (len(series) + 1)
        figure = Figure(figsize=(WIDTH_IN * len(counts), HEIGHT_IN + legend_in), layout="constrained")
        row = figure.subplots(1, len(counts), squeeze=False)[0]
        for axes, threads in zip(row, counts, strict=True):
            draw_latency(axes, series, threads)
        figure.legend(*row[0].get_legend_handles_labels(), loc="outside lower left", frameon=False)
        with writing_file(path) as beside:
            figure.savefig(beside, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else None)
