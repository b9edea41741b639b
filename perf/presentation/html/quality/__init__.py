"""Quality of models beside their latency, size and depth: readers of figures, charts and tables.

`figures` has the data. `figures_file` reads a file of figures, `evaluation_file` the results of `evaluate`; `charts`,
drawn by `tradeoff`, and `tables` show them.
"""

from __future__ import annotations

from perf.presentation.html.quality.figures import Figure, Quality
from perf.presentation.html.quality.reader import read_quality

__all__ = ["Figure", "Quality", "read_quality"]
