"""Line chart of latency against length, for one number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perf.presentation.html.plots.drawing import around, log_axis, nice_numbers
from perf.presentation.html.series import Series, lengths
from perf.results.report import threads_text

HEIGHT_IN = 3.3


def draw_latency(axes: Any, series: Sequence[Series], threads: int) -> None:
    """Draws median and 95 % interval in ms against tokens. All charts of the same series have the same range."""
    reports = [item.report for item in series]
    tokens = lengths(reports)
    ends = [end for item in series for _, found in item.measured() for end in (found.low_ms, found.high_ms)]
    for item in series:
        points = item.at(threads)
        medians = [found.median_ms for _, found in points]
        below = [found.median_ms - found.low_ms for _, found in points]
        above = [found.high_ms - found.median_ms for _, found in points]
        axes.errorbar(
            [seq_len for seq_len, _ in points],
            medians,
            yerr=[below, above],
            color=item.look.colour,
            marker=item.look.marker,
            linestyle=item.look.dash,
            elinewidth=1,
            capsize=2.5,
            label=item.label,
        )
    low, high = around(ends)
    log_axis(axes.yaxis, nice_numbers(low, high), low=low, high=high)
    log_axis(axes.xaxis, tokens, low=tokens[0] / 1.3, high=tokens[-1] * 1.3)
    axes.set(title=threads_text(threads), xlabel="tokens", ylabel="ms per run")
