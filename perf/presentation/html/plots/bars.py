"""Bar chart of kernel time: a bar for each model, a segment for each kind of block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perf.machine.node_profile import ATTENTION, BLOCKS, EMBEDDINGS, ENCODER, FFN, REST
from perf.presentation.html.plots.drawing import shortened
from perf.presentation.html.series import Series
from perf.results.report import threads_text

COLOURS = {EMBEDDINGS: "#cc79a7", ATTENTION: "#0072b2", FFN: "#e69f00", ENCODER: "#009e73", REST: "#9a9a9a"}

BAR_IN = 0.38
FRAME_IN = 0.75
"""Height of a bar with its name, and of the frame around all bars, in inches."""

Bars = Sequence[tuple[str, dict[str, float]]]


def bars(series: Sequence[Series], seq_len: int, threads: int) -> list[tuple[str, dict[str, float]]]:
    """Returns the name, and the ms by kind of block, of each model whose blocks were timed in this cell."""
    return [
        (item.label, found.ms)
        for item in series
        for found in item.subject.blocks
        if (found.seq_len, found.threads) == (seq_len, threads)
    ]


def height_in(found: Bars) -> float:
    """Returns the height of the chart in inches."""
    return FRAME_IN + BAR_IN * len(found)


def draw_bars(axes: Any, found: Bars, seq_len: int, threads: int) -> None:
    """Draws horizontal bars in the order given, each below its name, with its total at its end."""
    longest = max(sum(ms.values()) for _, ms in found) or 1.0
    for row, (label, ms) in enumerate(found):
        start = 0.0
        for block in BLOCKS:
            part = ms.get(block, 0.0)
            axes.barh(row, part, left=start, height=0.42, color=COLOURS[block], linewidth=0)
            start += part
        axes.text(0, row - 0.28, shortened(label), va="bottom", ha="left", fontsize=8)
        axes.text(start + longest * 0.015, row, f"{start:.3g}", va="center", ha="left", fontsize=8)
    axes.set(
        title=f"{seq_len} tokens, {threads_text(threads)}",
        xlabel="ms in kernels per run",
        xlim=(0, longest * 1.13),
        ylim=(len(found) - 0.6, -0.75),
        yticks=[],
    )
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
