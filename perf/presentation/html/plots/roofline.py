"""Roofline chart: multiply-accumulates per second of each model, against the machine's peaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perf.machine.peaks import FLOAT32, Peaks
from perf.presentation.html.plots.drawing import around, log_axis, nice_numbers
from perf.presentation.html.series import Series
from perf.results.report import threads_text

HEIGHT_IN = 3.2
ROOF_COLOURS = ("#555555", "#a05a00")
MORE = 4
"""Factor by which the axes extend beyond the points and roofs, both sides together."""


@dataclass(frozen=True)
class Reached:
    """One model at one length.

    `intensity`: multiply-accumulates per byte of its file. `gmacs`: 10^9 multiply-accumulates/s. `roof`: the machine's
    maximum at this intensity and the model's precision. `bound`: the limiting resource, memory or arithmetic.
    """

    series: Series
    seq_len: int
    precision: str
    intensity: float
    gmacs: float
    roof: float
    bound: str

    @property
    def share(self) -> float:
        """Share of the roof."""
        return self.gmacs / self.roof


def reached(series: Sequence[Series], peaks: Peaks) -> list[Reached]:
    """Returns all models with known multiply-accumulates, with the peaks' number of threads."""
    found = []
    for item in series:
        precision = item.subject.precision or FLOAT32
        peak = peaks.gmacs.get(precision)
        if peak is None:
            continue
        for seq_len, measured in item.at(peaks.threads):
            macs = item.subject.macs.get(seq_len)
            if not macs:
                continue
            intensity = macs / item.subject.file.size_bytes
            slope = peaks.bandwidth_gb_s * intensity
            bound = "arithmetic" if slope > peak else "memory"
            gmacs = macs / measured.median_ms / 1e6
            found.append(Reached(item, seq_len, precision, intensity, gmacs, min(peak, slope), bound))
    return found


def draw_roofline(axes: Any, found: Sequence[Reached], peaks: Peaks) -> None:
    """Draws 10^9 multiply-accumulates/s against multiply-accumulates per byte, and the roof of each precision."""
    bandwidth = peaks.bandwidth_gb_s
    ridges = [peak / bandwidth for peak in peaks.gmacs.values()]
    left, right = around([*(item.intensity for item in found), *ridges], MORE**0.5)
    bottom, top = around([*(item.gmacs for item in found), *peaks.gmacs.values()], MORE**0.5)
    x = np.geomspace(left, right, 200)
    for (precision, peak), colour in zip(sorted(peaks.gmacs.items()), ROOF_COLOURS, strict=False):
        axes.plot(x, np.minimum(peak, bandwidth * x), color=colour, linewidth=1.2, zorder=1)
        axes.annotate(f"{precision} {peak:.3g}", (right, peak), (-3, 3), textcoords="offset points", ha="right")
    for item in found:
        look = item.series.look
        hollow = item.precision == FLOAT32
        axes.plot(
            item.intensity,
            item.gmacs,
            look.marker,
            color=look.colour,
            markerfacecolor="white" if hollow else look.colour,
        )
    log_axis(axes.xaxis, nice_numbers(left, right), low=left, high=right)
    log_axis(axes.yaxis, nice_numbers(bottom, top), low=bottom, high=top)
    axes.set(
        title=f"{threads_text(peaks.threads)}, memory {bandwidth:.3g} GB/s",
        xlabel="multiply-accumulates per byte of the file",
        ylabel="GMAC/s",
    )
