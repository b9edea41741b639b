"""Roofline chart: multiply-accumulates per second of each model, against the machine's peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from perf.machine.peaks import FLOAT16, FLOAT32, INT8, MEMORY, Peaks
from perf.presentation.html.plots.drawing import around, log_axis, nice_numbers
from perf.presentation.html.series import Series
from perf.results.report import threads_text

HEIGHT_IN = 3.2
ROOF_COLOURS = {FLOAT32: "#555555", INT8: "#a05a00", FLOAT16: "#6a3d9a"}
FILL = {FLOAT32: "none", FLOAT16: "left", INT8: "full"}
"""Fill styles of markers, in matplotlib's words."""

MORE = 4
"""Factor by which the axes extend beyond the points and roofs, both sides together."""

CLOSE = 2
"""Factor between two roofs up to which their labels have no room on the same side of their lines."""

LABEL_PT = 75
"""Width of a roof's label in points, with a margin."""


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

    @property
    def why_above(self) -> str:
        """Why the share is above 1; empty if it is not."""
        if self.share <= 1:
            return ""
        if self.bound == MEMORY:
            return "weights that stay in a cache are read faster than memory"
        return "its kernels are faster than onnxruntime's product of two large matrices"


def reached(series: Sequence[Series], peaks: Peaks) -> list[Reached]:
    """Returns all models with known multiply-accumulates, with the peaks' number of threads."""
    found = []
    for item in series:
        precision = item.subject.precision or FLOAT32
        for seq_len, measured in item.at(peaks.threads):
            macs = item.subject.macs.get(seq_len)
            if not macs:
                continue
            intensity = macs / item.subject.file.size_bytes
            roof = peaks.roof(precision, intensity)
            if roof is not None:
                found.append(Reached(item, seq_len, precision, intensity, macs / measured.median_ms / 1e6, *roof))
    return found


def _beside(precision: str, roofs: Mapping[str, float]) -> dict[str, Any]:
    """Returns the place of a roof's label, as options of matplotlib, apart from the labels of close roofs."""
    ordered = sorted(roofs, key=lambda name: (roofs[name], name))
    place, last = ordered.index(precision), len(ordered) - 1
    is_close = [roofs[higher] <= CLOSE * roofs[lower] for lower, higher in pairwise(ordered)]
    if place == last or not is_close[place]:
        return {"xytext": (-3, 3), "ha": "right"}
    if place == 0 or not is_close[place - 1]:
        return {"xytext": (-3, -3), "ha": "right", "va": "top"}
    return {"xytext": (-LABEL_PT, 3), "ha": "right"}


def draw_roofline(axes: Any, found: Sequence[Reached], peaks: Peaks) -> None:
    """Draws 10^9 multiply-accumulates/s against multiply-accumulates per byte, and the roof of each precision."""
    bandwidth = peaks.bandwidth_gb_s
    ridges = [peak / bandwidth for peak in peaks.gmacs.values()]
    left, right = around([*(item.intensity for item in found), *ridges], MORE**0.5)
    bottom, top = around([*(item.gmacs for item in found), *peaks.gmacs.values()], MORE**0.5)
    x = np.geomspace(left, right, 200)
    drawn = {item.precision for item in found} | {FLOAT32, INT8}
    # The roof of fp16 is close to that of float32, and says nothing without a model.
    roofs = {precision: peak for precision, peak in peaks.gmacs.items() if precision in drawn}
    for precision, peak in roofs.items():
        axes.plot(x, np.minimum(peak, bandwidth * x), color=ROOF_COLOURS[precision], linewidth=1.2, zorder=1)
        axes.annotate(f"{precision} {peak:.3g}", (right, peak), textcoords="offset points", **_beside(precision, roofs))
    for item in found:
        look = item.series.look
        fill = FILL.get(item.precision, "full")
        axes.plot(
            item.intensity,
            item.gmacs,
            look.marker,
            color=look.colour,
            fillstyle="full" if fill == "none" else fill,
            markerfacecolor="white" if fill == "none" else look.colour,
            markerfacecoloralt="white",
        )
    log_axis(axes.xaxis, nice_numbers(left, right), low=left, high=right)
    log_axis(axes.yaxis, nice_numbers(bottom, top), low=bottom, high=top)
    axes.set(
        title=f"{threads_text(peaks.threads)}, memory {bandwidth:.3g} GB/s",
        xlabel="multiply-accumulates per byte of the file",
        ylabel="GMAC/s",
    )
