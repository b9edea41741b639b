"""Base class of the passes: it counts matches and records near misses with their reasons."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Miss:
    """Near miss: a place that almost matched a pass.

    Args:
        node: The node at which the match failed.
        reason: The condition that failed: what was found, and what was expected.
    """

    node: str
    reason: str


class Rewrite(ir.passes.InPlacePass):
    """Pass over the main graph. After a call, `matches` is the number of rewrites and `misses` are the near misses."""

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
        """Records a near miss."""
        self.misses.append(Miss(f"{node.name or '?'} ({node.op_type})", reason))


def replace(old: ir.Value, new: ir.Value) -> None:
    """Redirects all readers of a value to another one, which takes over the name of an output of the graph."""
    if old.is_graph_output():
        name, old.name = old.name, None
        new.name = name
        new.shape, new.type = old.shape, old.type
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
