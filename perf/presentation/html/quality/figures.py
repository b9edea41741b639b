"""Quality figures of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from perf.presentation.formats import EMPTY


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval; `low` and `high` are None where there is no interval."""

    value: float
    low: float | None = None
    high: float | None = None

    def text(self, *, signed: bool = False) -> str:
        """Returns "81.51 (79.06 to 83.73)"; without an interval the value as it is."""
        sign = "+" if signed else ""
        if self.low is None or self.high is None:
            return f"{self.value:{sign}.4g}"
        return f"{self.value:{sign}.2f} ({self.low:{sign}.2f} to {self.high:{sign}.2f})"


@dataclass(frozen=True)
class Quality:
    """One metric of several models; higher is better.

    Args:
        metric: Name of the metric, with its unit.
        figures: Figure of each model, by name.
        differences: By name, figure minus that of the first model, paired by text; empty where it is not known.
        source: The texts on which it was measured; empty if not known.
    """

    metric: str
    figures: Mapping[str, Figure]
    differences: Mapping[str, Figure] = field(default_factory=dict)
    source: str = ""

    def difference_text(self, name: str) -> str:
        """Returns a model's difference to the first one, or a dash."""
        found = self.differences.get(name)
        return EMPTY if found is None else found.text(signed=True)
