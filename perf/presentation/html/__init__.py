"""HTML page of reports, self-contained, and a plot of their latency."""

from __future__ import annotations

from perf.presentation.html.page import write_page
from perf.presentation.html.picture import write_plot
from perf.presentation.html.quality import Figure, Quality, read_quality

__all__ = ["Figure", "Quality", "read_quality", "write_page", "write_plot"]
