"""Contents of the page: the charts and texts that fill the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from perf.presentation.html.finding import findings
from perf.presentation.html.plots import bars, latency, roofline, tradeoff
from perf.presentation.html.plots.drawing import svg
from perf.presentation.html.series import Series, lengths, thread_counts
from perf.results.report import Report, threads_text


@dataclass(frozen=True)
class Chart:
    """An `<svg>` element, and its alternative text for screen readers."""

    svg: str
    alt: str


def latency_charts(reports: Sequence[Report], series: Sequence[Series]) -> list[Chart]:
    """Returns a latency chart for each number of threads."""
    return [
        Chart(
            svg(
                partial(latency.draw_latency, series=series, threads=threads),
                height_in=latency.HEIGHT_IN,
                salt=f"latency {threads}",
            ),
            f"Median ms per run against tokens, {threads} threads",
        )
        for threads in thread_counts(reports)
    ]


def tradeoff_charts(
    reports: Sequence[Report], series: Sequence[Series], quality: Mapping[str, float], metric: str
) -> tuple[list[Chart], list[str]]:
    """Returns a chart for each cell, and a line for each Pareto front with its models and its cells."""
    charts: list[Chart] = []
    fronts: dict[str, list[str]] = {}
    for threads in thread_counts(reports):
        for seq_len in lengths(reports):
            found = tradeoff.points(series, quality, seq_len, threads)
            if not found:
                continue
            draw = partial(tradeoff.draw_tradeoff, found=found, metric=metric, seq_len=seq_len, threads=threads)
            alt = f"{metric} against ms per run, {seq_len} tokens, {threads} threads"
            charts.append(Chart(svg(draw, height_in=tradeoff.HEIGHT_IN, salt=f"quality {seq_len} {threads}"), alt))
            front = ", ".join(point.series.label for point in tradeoff.pareto_front(found))
            fronts.setdefault(front, []).append(f"{seq_len} tokens and {threads_text(threads)}")
    return charts, [f"{front}: with {', '.join(where)}" for front, where in fronts.items()]


def block_charts(reports: Sequence[Report], series: Sequence[Series]) -> list[Chart]:
    """Returns a chart for each cell in which blocks were timed."""
    charts = []
    for threads in thread_counts(reports):
        for seq_len in lengths(reports):
            found = bars.bars(series, seq_len, threads)
            if found:
                draw = partial(bars.draw_bars, found=found, seq_len=seq_len, threads=threads)
                drawn = svg(draw, height_in=bars.height_in(found), salt=f"blocks {seq_len} {threads}")
                charts.append(Chart(drawn, f"ms in kernels by block, {seq_len} tokens, {threads} threads"))
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
                drawn = svg(draw, height_in=roofline.HEIGHT_IN, salt=f"roofline {number} {peaks.threads}")
                charts.append(Chart(drawn, f"Roofline, {peaks.threads} threads"))
                points += found
                threads += [peaks.threads] * len(found)
    return charts, points, threads


def all_findings(reports: Sequence[Report], names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Returns the findings of each report, with its name if there are several."""
    return [
        (name if len(reports) > 1 else "", findings(report))
        for report, name in zip(reports, names, strict=True)
        if report.cells
    ]
