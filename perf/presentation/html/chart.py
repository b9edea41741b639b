"""One chart of the page."""

from __future__ import annotations

from dataclasses import dataclass

from perf.presentation.html.plots.drawing import WIDE_IN, Draw, svg


@dataclass(frozen=True)
class Chart:
    """One chart: how it is drawn, its height in inches, its name among charts, and its text for screen readers."""

    draw: Draw
    height_in: float
    name: str
    alt: str

    @property
    def svg(self) -> str:
        """The chart for a phone, or beside others."""
        return svg(self.draw, height_in=self.height_in, salt=self.name)

    @property
    def wide_svg(self) -> str:
        """The chart for a large screen, if it is the only one in its section."""
        return svg(self.draw, height_in=self.height_in, salt=f"{self.name}, wide", width_in=WIDE_IN)
