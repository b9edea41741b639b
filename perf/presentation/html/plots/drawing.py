"""Style of the charts, and their conversion to SVG elements."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from perf.errors import PerfError
from perf.presentation.html.theme import themed

MISSING = "the page needs matplotlib and jinja2, which are not installed; pip install 'mbert-onnx[report]'"

try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator
except ImportError as error:
    raise PerfError(MISSING) from error

WIDTH_IN = 3.75
"""Width of a chart in inches: 360 pixels in a browser, which fits a phone."""

WIDE_IN = 8.0
"""Width of a chart that is alone in its row on a large screen."""

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    "font.size": 8.5,
    "text.color": "#1d1d1f",  # not black, whose colour an SVG leaves out
    "axes.labelcolor": "#1d1d1f",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "svg.fonttype": "none",  # text stays text: smaller, and searchable
    "text.parse_math": False,  # names may contain dollar signs
}

NICE = (1, 2, 5)
"""Labels of a logarithmic axis, for each power of ten."""

Draw = Callable[[Any], None]
"""A function that draws into given axes."""


def svg(draw: Draw, *, height_in: float, salt: str, width_in: float = WIDTH_IN) -> str:
    """Draws one chart as an `<svg>` element in the page's colours; `salt` makes its ids unique among charts."""
    text = io.StringIO()
    with style(salt):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        draw(figure.subplots())
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    found = text.getvalue()
    # The ids of groups are the same in every figure, which is invalid in one page, and nothing refers to them.
    return themed(re.sub(r'<g id="[^"]*"', "<g", found[found.index("<svg") :]))


@contextmanager
def style(salt: str = "") -> Iterator[None]:
    """Applies matplotlib's settings for the charts within the block."""
    settings: Any = {**STYLE, "svg.hashsalt": salt}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # Names may be in scripts that the font lacks. SVG keeps them as text, which browsers draw in other fonts.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def log_axis(axis: Any, values: Sequence[float], *, low: float, high: float) -> None:
    """Makes an axis logarithmic, from `low` to `high`, with these values as labels in plain numbers."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}lim": (low, high)})
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_ticks([value for value in values if low <= value <= high])
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def nice_numbers(low: float, high: float) -> list[float]:
    """Returns 1, 2, 5, 10 … between two positive numbers; powers of ten only if these are more than 8."""
    found = [step * 10.0**power for power in range(-9, 16) for step in NICE if low <= step * 10.0**power <= high]
    return found if len(found) <= 8 else [value for value in found if f"{value:e}".startswith("1.0")]


def around(values: Sequence[float], factor: float = 1.25) -> tuple[float, float]:
    """Returns a range around positive values, with a margin of `factor`."""
    return min(values) / factor, max(values) * factor


def shortened(name: str, width: int = 52) -> str:
    """Shortens a long name by leaving out its middle."""
    half = (width - 1) // 2
    return name if len(name) <= width else f"{name[:half]}…{name[-half:]}"
