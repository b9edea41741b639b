"""What a provider would make of a model, before any device is at hand."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Left:
    """Nodes of one operator that the provider leaves to the CPU for one reason.

    Args:
        operator: Their operator; with its domain, where that is not ONNX's own.
        count: How many.
        reason: Why they are left.
        example: The name of one, or of its first output where it has none.
    """

    operator: str
    count: int
    reason: str
    example: str


@dataclass(frozen=True)
class Forecast:
    """What a provider would take of a model.

    Args:
        provider: Its short name.
        source: Who says so: the provider itself, or which published rules.
        asked: Whether it was the provider itself, on this machine.
        nodes: Of the graph as the provider is offered it.
        taken: How many nodes of each operator it would take.
        partitions: Into how many connected parts those fall, by onnxruntime's own grouping.
        left: What stays with the CPU, the most first.
        advice: What would help, a line each.
    """

    provider: str
    source: str
    asked: bool
    nodes: int
    taken: dict[str, int]
    partitions: int
    left: tuple[Left, ...]
    advice: tuple[str, ...]

    @property
    def taken_nodes(self) -> int:
        """How many nodes it would take."""
        return sum(self.taken.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "taken_nodes": self.taken_nodes}
