"""Formats of times, ratios and errors in tables."""

from __future__ import annotations

from perf.results.report import Measurement
from perf.statistics import Ratio

NO_DIFFERENCE = "no significant difference"
TOO_FEW = "too few repetitions"
EMPTY = "–"
"""Stands for a difference or error that there is none of; a note below the table says why."""

UNSTABLE = "*"
"""Marks a median whose interval is wider than requested."""

CLOSE = 0.01
"""A ratio this close to 1 is printed with three decimals, to avoid "1.00× (1.00–1.00)"."""


def time_text(item: Measurement) -> str:
    """Returns the median in ms, its interval, and the mark of an unstable one: "8.27 ± 0.10"."""
    median = ms_text(item.median_ms, item.median_ms)
    return f"{median} ± {ms_text(item.half_width_ms, item.median_ms)}{'' if item.stable else UNSTABLE}"


def ms_text(value: float, scale: float) -> str:
    """Formats milliseconds with three or four significant digits for a time of the size `scale`."""
    return f"{value:.{3 if scale < 1 else 2 if scale < 100 else 1}f}"


def ratio_text(speedup: Ratio | None, is_first: bool) -> str:
    """Formats the speed relative to the first model: "1.17× (1.15–1.19)"."""
    if is_first:
        return "1×"
    if speedup is None:
        return TOO_FEW
    if not speedup.significant:
        return NO_DIFFERENCE
    digits = 3 if abs(speedup.median - 1) < CLOSE else 2
    return f"{speedup.median:.{digits}f}× ({speedup.low:.{digits}f}–{speedup.high:.{digits}f})"


def share_text(value: float | None, digits: int = 1) -> str:
    """Formats a centred error."""
    return EMPTY if value is None else f"{value:.{digits}g}"
