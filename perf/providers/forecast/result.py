"""Result of a forecast."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Left:
    """Nodes of one operator that the provider leaves to the CPU for one reason.

    Args:
        operator: Their operator, with its domain unless that is ONNX's.
        count: Number of nodes.
        reason: The reason.
        example: The name of one node, or of its first output if it has no name.
    """

    operator: str
    count: int
    reason: str
    example: str


@dataclass(frozen=True)
class Forecast:
    """Forecast of a provider for a model.

    Args:
        provider: The provider's short name.
        source: Source of the forecast: the provider itself, or the published rules.
        asked: Whether the provider itself was queried on this machine.
        nodes: Number of nodes of the graph that the provider gets.
        taken: Number of nodes that it would run, by operator.
        partitions: Number of connected parts of these nodes, by onnxruntime's grouping.
        left: Nodes left to the CPU, largest group first.
        advice: What would make it run more nodes, a line each.
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
        """Number of nodes that it would run."""
        return sum(self.taken.values())

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {**asdict(self), "taken_nodes": self.taken_nodes}
