"""Legend of all charts: in HTML, where it wraps on a narrow screen and its names are searchable, and in a plot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.transforms import Affine2D

from perf.presentation.html.series import Look, Series
from perf.presentation.html.theme import themed

WIDTH, HEIGHT = 30, 12
SIZE = 7.0
"""Size in pixels of a swatch, and of the marker in its middle."""

DASHES = {"-": "", "--": "6 3", ":": "2 2", "-.": "6 2 2 2"}
"""matplotlib's names of dashes, and SVG's."""


def swatch(look: Look) -> str:
    """Returns a line segment with its marker, as an `<svg>` element."""
    marker = MarkerStyle(look.marker)
    place = marker.get_transform() + Affine2D().scale(SIZE, -SIZE).translate(WIDTH / 2, HEIGHT / 2)
    outlines = "".join(
        f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in np.asarray(outline))}"/>'
        for outline in marker.get_path().transformed(place).to_polygons(closed_only=False)
    )
    return themed(
        f'<svg width="{WIDTH}" height="{HEIGHT}" aria-hidden="true" style="fill: {look.colour}; stroke: {look.colour}">'
        f'<line x1="0" x2="{WIDTH}" y1="{HEIGHT / 2}" y2="{HEIGHT / 2}" stroke-width="1.8" '
        f'stroke-dasharray="{DASHES[look.dash]}"/>{outlines}</svg>'
    )


def handles(series: Sequence[Series]) -> tuple[list[Line2D], list[str]]:
    """Returns a line of each model's look, and its label, for a legend in the picture itself."""
    lines = []
    for item in series:
        line = Line2D([], [], color=item.look.colour, marker=item.look.marker)
        line.set(linestyle=item.look.dash)
        lines.append(line)
    return lines, [item.label for item in series]
