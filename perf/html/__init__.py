"""Reports as one page for a browser, which needs nothing else, and their latency as a picture."""

from __future__ import annotations

from perf.html.page import write_page
from perf.html.picture import write_plot
from perf.html.quality import Quality, read_quality

__all__ = ["Quality", "read_quality", "write_page", "write_plot"]
