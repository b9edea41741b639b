"""Scatter chart of task quality against a cost, such as latency or depth, with its Pareto front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from perf.presentation.html.plots.drawing import around, log_axis, nice_numbers
from perf.presentation.html.quality.figures import Figure, Quality
from perf.presentation.html.series import Series

HEIGHT_IN = 2.9


@dataclass(frozen=True)
class Cost:
    """Horizontal axis of the chart: a property of a model of which less is better.

    Args:
        label: Label of the axis, with the unit.
        title: Title of the chart.
        is_count: Whether it is a number of things, on a linear axis; else the axis is logarithmic.
    """

    label: str
    title: str
    is_count: bool = False


@dataclass(frozen=True)
class Point:
    """One model with its cost and its figure."""

    series: Series
    cost: float
    figure: Figure

    @property
    def quality(self) -> float:
        """The value of its figure."""
        return self.figure.value


def points(series: Sequence[Series], quality: Quality, cost: Callable[[Series], float | None]) -> list[Point]:
    """Returns the models that have a figure and a cost."""
    found = [(item, cost(item)) for item in series if item.subject.name in quality.figures]
    return [Point(item, value, quality.figures[item.subject.name]) for item, value in found if value is not None]


def pareto_front(found: Sequence[Point]) -> list[Point]:
    """Returns the points that no other dominates (as cheap and better, or as good and cheaper), cheapest first."""
    front: list[Point] = []
    for point in sorted(found, key=lambda item: (item.cost, -item.quality)):
        best = front[-1] if front else None
        same = best is not None and (point.cost, point.quality) == (best.cost, best.quality)
        if best is None or point.quality > best.quality or same:
            front.append(point)
    return front


def draw_tradeoff(axes: Any, found: Sequence[Point], metric: str, cost: Cost) -> None:
    """Draws quality, with its interval, against the cost; the front is a step line, and its points are filled."""
    front = pareto_front(found)
    costs = [point.cost for point in found]
    low, high = (min(costs) - 1, max(costs) + 1) if cost.is_count else around(costs)
    best = [point.quality for point in front]
    axes.step([point.cost for point in front] + [high], [*best, best[-1]], where="post", color="#b0b0b0", zorder=1)
    for point in found:
        look, figure = point.series.look, point.figure
        filled = look.colour if point in front else "white"
        if figure.low is not None and figure.high is not None:
            axes.vlines(point.cost, figure.low, figure.high, color=look.colour, linewidth=1)
        axes.plot(point.cost, point.quality, look.marker, color=look.colour, markerfacecolor=filled, markersize=6)
    if cost.is_count:
        axes.set(xlim=(low, high))
        axes.set_xticks(sorted(set(costs)))
    else:
        log_axis(axes.xaxis, nice_numbers(low, high), low=low, high=high)
    axes.margins(y=0.15)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set(title=cost.title, xlabel=cost.label, ylabel=metric)
