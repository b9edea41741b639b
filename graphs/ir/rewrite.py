"""What our passes have in common: they count what they did, and remember what they had to leave alone, and why."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Miss:
    """A place that looked like the pass's own, and was left alone.

    Args:
        node: The node at which it was decided.
        reason: The condition that failed there: what was found, and what was expected.
    """

    node: str
    reason: str


class Rewrite(ir.passes.InPlacePass):
    """A pass over the main graph. After a call, `matches` says how often it fired and `misses` where it nearly did."""

    def __init__(self) -> None:
        super().__init__()
        self.matches = 0
        self.misses: list[Miss] = []

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        self.matches, self.misses = 0, []
        self.rewrite(model)
        return ir.passes.PassResult(model, modified=self.matches > 0)

    @abstractmethod
    def rewrite(self, model: ir.Model) -> None:
        """Rewrites the model in place; counts `matches` and collects `misses`."""

    def miss(self, node: ir.Node, reason: str) -> None:
        """Remembers that a place was left alone."""
        self.misses.append(Miss(f"{node.name or '?'} ({node.op_type})", reason))


def replace(old: ir.Value, new: ir.Value) -> None:
    """Lets all readers of a value read another one, which takes over its name where it is an output of the graph."""
    if old.is_graph_output():
        name, old.name = old.name, None
        new.name = name
        new.shape, new.type = old.shape, old.type
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
