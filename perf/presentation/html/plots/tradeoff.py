"""Scatter chart of latency against task quality, with its Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perf.presentation.html.plots.drawing import around, log_axis, nice_numbers
from perf.presentation.html.series import Series
from perf.results.report import threads_text

HEIGHT_IN = 2.9


@dataclass(frozen=True)
class Point:
    """One model in one cell."""

    series: Series
    ms: float
    quality: float


def points(series: Sequence[Series], quality: Mapping[str, float], seq_len: int, threads: int) -> list[Point]:
    """Returns the models of a cell that have a quality figure."""
    return [
        Point(item, found.median_ms, quality[item.subject.name])
        for item in series
        for cell, found in item.measured()
        if (cell.seq_len, cell.threads) == (seq_len, threads) and item.subject.name in quality
    ]


def pareto_front(found: Sequence[Point]) -> list[Point]:
    """Returns the points that no other dominates (as fast and better, or as good and faster), fastest first."""
    front: list[Point] = []
    for point in sorted(found, key=lambda item: (item.ms, -item.quality)):
        best = front[-1] if front else None
        same = best is not None and (point.ms, point.quality) == (best.ms, best.quality)
        if best is None or point.quality > best.quality or same:
            front.append(point)
    return front


def draw_tradeoff(axes: Any, found: Sequence[Point], metric: str, seq_len: int, threads: int) -> None:
    """Draws quality against median ms; the front is a step line, and its points are filled."""
    front = pareto_front(found)
    low, high = around([point.ms for point in found])
    best = [point.quality for point in front]
    axes.step([point.ms for point in front] + [high], [*best, best[-1]], where="post", color="#b0b0b0", zorder=1)
    for point in found:
        look = point.series.look
        filled = look.colour if point in front else "white"
        axes.plot(point.ms, point.quality, look.marker, color=look.colour, markerfacecolor=filled, markersize=6)
    log_axis(axes.xaxis, nice_numbers(low, high), low=low, high=high)
    axes.margins(y=0.15)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set(title=f"{seq_len} tokens, {threads_text(threads)}", xlabel="ms per run", ylabel=metric)
