"""Contents of the page: the charts and texts that fill the template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from perf.presentation.html.chart import Chart
from perf.presentation.html.finding import Finding, findings
from perf.presentation.html.plots import bars, latency, roofline
from perf.presentation.html.series import Series, lengths, thread_counts
from perf.results.report import Report


def latency_charts(reports: Sequence[Report], series: Sequence[Series]) -> list[Chart]:
    """Returns a latency chart for each number of threads."""
    return [
        Chart(
            partial(latency.draw_latency, series=series, threads=threads),
            latency.HEIGHT_IN,
            f"latency {threads}",
            f"Median ms per run against tokens, {threads} threads",
        )
        for threads in thread_counts(reports)
    ]


def block_charts(reports: Sequence[Report], series: Sequence[Series]) -> list[Chart]:
    """Returns a chart for each cell in which blocks were timed."""
    charts = []
    for threads in thread_counts(reports):
        for seq_len in lengths(reports):
            found = bars.bars(series, seq_len, threads)
            if found:
                draw = partial(bars.draw_bars, found=found, seq_len=seq_len, threads=threads)
                alt = f"ms in kernels by block, {seq_len} tokens, {threads} threads"
                charts.append(Chart(draw, bars.height_in(found), f"blocks {seq_len} {threads}", alt))
    return charts


def rooflines(
    reports: Sequence[Report], series: Sequence[Series]
) -> tuple[list[Chart], list[roofline.Reached], list[int]]:
    """Returns a chart for each report and number of threads with known peaks; its points, and their threads."""
    charts: list[Chart] = []
    points: list[roofline.Reached] = []
    threads: list[int] = []
    for number, report in enumerate(reports):
        own = [item for item in series if item.report is report]
        for peaks in report.peaks:
            found = roofline.reached(own, peaks)
            if found:
                draw = partial(roofline.draw_roofline, found=found, peaks=peaks)
                name, alt = f"roofline {number} {peaks.threads}", f"Roofline, {peaks.threads} threads"
                charts.append(Chart(draw, roofline.HEIGHT_IN, name, alt))
                points += found
                threads += [peaks.threads] * len(found)
    return charts, points, threads


def all_findings(reports: Sequence[Report], names: Sequence[str]) -> list[tuple[str, list[Finding]]]:
    """Returns the findings of each report, with its name if there are several."""
    return [
        (name if len(reports) > 1 else "", findings(report))
        for report, name in zip(reports, names, strict=True)
        if report.cells
    ]
