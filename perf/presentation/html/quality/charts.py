"""Charts of quality against latency, number of layers and size of the file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from perf.presentation.html.chart import Chart
from perf.presentation.html.quality import tradeoff
from perf.presentation.html.quality.figures import Quality
from perf.presentation.html.quality.tradeoff import Cost
from perf.presentation.html.series import Series, lengths, thread_counts
from perf.results.report import Report, threads_text

MEGABYTE = 1_000_000


def tradeoff_charts(
    reports: Sequence[Report], series: Sequence[Series], quality: Quality, number: int
) -> tuple[list[Chart], list[str]]:
    """Returns a chart for each cell, then for depth and size if these differ; a line for each Pareto front.

    Args:
        reports: The reports.
        series: All their models.
        quality: The metric.
        number: Its number on the page, for the names of its charts.
    """
    charts: list[Chart] = []
    fronts: dict[str, list[str]] = {}

    def add(cost: Cost, cells: tuple[int, int] | None, place: str, found: list[tradeoff.Point]) -> None:
        draw = partial(tradeoff.draw_tradeoff, found=found, metric=quality.metric, cost=cost)
        alt = f"{quality.metric} against {cost.label}, {cost.title}"
        charts.append(Chart(draw, tradeoff.HEIGHT_IN, f"quality {number} {cells or cost.label}", alt))
        front = ", ".join(point.series.label for point in tradeoff.pareto_front(found))
        fronts.setdefault(front, []).append(place)

    for threads in thread_counts(reports):
        for seq_len in lengths(reports):
            found = tradeoff.points(series, quality, partial(_ms, seq_len=seq_len, threads=threads))
            if found:
                cost = Cost("ms per run", f"{seq_len} tokens, {threads_text(threads)}")
                place = f"{seq_len} tokens and {threads_text(threads)}"
                add(cost, (seq_len, threads), f"with {place}", found)
    for cost, of, place in (
        (Cost("layers", "Depth", is_count=True), lambda item: item.subject.layers, "by layers"),
        (Cost("MB", "Size of the file"), lambda item: item.subject.file.size_bytes / MEGABYTE or None, "by size"),
    ):
        found = tradeoff.points(series, quality, of)
        if len({point.cost for point in found}) > 1:
            add(cost, None, place, found)
    return charts, [f"{front}: {', '.join(where)}" for front, where in fronts.items()]


def _ms(item: Series, seq_len: int, threads: int) -> float | None:
    times = (found.median_ms for cell, found in item.measured() if (cell.seq_len, cell.threads) == (seq_len, threads))
    return next(times, None)
