"""Plot of latency, or of quality against it, as a PNG or SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from perf.errors import PerfUsageError
from perf.presentation.html.quality.figures import Quality
from perf.results.file_writer import writing_file
from perf.results.report import Report

FORMATS = (".png", ".svg")
DPI = 160
LEGEND_LINE_IN = 0.19


def write_plot(
    report: Report | Sequence[Report],
    path: Path,
    *,
    names: Sequence[str] | None = None,
    qualities: Sequence[Quality] = (),
) -> None:
    """Draws latency against length, a chart for each number of threads side by side, and a legend below.

    Args:
        report: One report, or several on the same charts.
        path: The file to write; its suffix selects PNG or SVG.
        names: Names of the reports, to distinguish equal models; default: their numbers.
        qualities: Metrics of the models. With them, draws quality against latency, depth and size instead, a row of
            charts for each metric.

    Raises:
        PerfUsageError: another suffix, or reports without a measurement.
        PerfError: matplotlib is missing, or the file cannot be written.
    """
    from perf.presentation.html.contents import latency_charts
    from perf.presentation.html.plots.drawing import (  # before matplotlib: it raises PerfError if that is missing
        WIDTH_IN,
        style,
    )
    from perf.presentation.html.plots.legend import handles
    from perf.presentation.html.quality.charts import tradeoff_charts
    from perf.presentation.html.series import all_series, thread_counts

    from matplotlib.figure import Figure  # isort: skip

    reports = [report] if isinstance(report, Report) else list(report)
    if path.suffix not in FORMATS:
        raise PerfUsageError(
            f"{path} ends in {path.suffix or 'nothing'}; expected a file name that ends in .png or .svg"
        )
    if not thread_counts(reports):
        raise PerfUsageError("the reports have no measurement; expected at least one to draw: measure again")
    series = all_series(reports, names or [str(number) for number in range(1, len(reports) + 1)])
    drawn = [tradeoff_charts(reports, series, one, number)[0] for number, one in enumerate(qualities)]
    rows = [charts for charts in drawn if charts] or [latency_charts(reports, series)]
    with style(path.name):
        height, legend_in = max(chart.height_in for chart in rows[0]), LEGEND_LINE_IN * (len(series) + 1)
        size = (WIDTH_IN * max(map(len, rows)), height * len(rows) + legend_in)
        figure = Figure(figsize=size, layout="constrained")
        places = figure.subplots(len(rows), max(map(len, rows)), squeeze=False)
        for row, charts in zip(places, rows, strict=True):
            for axes, chart in zip_longest(row, charts):
                if chart is None:
                    axes.remove()
                else:
                    chart.draw(axes)
        figure.legend(*handles(series), loc="outside lower left", frameon=False)
        with writing_file(path) as beside:
            figure.savefig(beside, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else None)
