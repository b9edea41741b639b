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
    """Pass over the main graph. After a call, `matches` is the number of rewrites and `misses` are the near misses.

    `notes` are lines for the user about what a rewrite means for the file, such as another type of its weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.matches = 0
        self.misses: list[Miss] = []
        self.notes: list[str] = []

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        self.matches, self.misses, self.notes = 0, [], []
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


def replace_node(old: ir.Node, new: ir.Node) -> None:
    """Puts a new node in the place of one whose only output all others read; what this alone read stays unread."""
    graph, output, result = old.graph, old.outputs[0], new.outputs[0]
    assert graph is not None
    result.shape, result.type = output.shape, output.type
    graph.insert_before(old, new)
    replace(output, result)
    graph.remove(old, safe=True)


def bypass(graph: ir.Graph | ir.Function, node: ir.Node) -> None:
    """Removes a node whose only output is its first input; an Identity stays where both names are to be kept.

    An output of the graph takes its name along, which neither an input, a constant nor another output can adopt.
    """
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    if y.is_graph_output() and (x.producer() is None or x.is_graph_output() or x.graph is not y.graph):
        same = ir.Value(shape=y.shape, type=y.type)
        graph.insert_before(node, ir.node("Identity", [x], outputs=[same]))
        x = same
    replace(y, x)
    graph.remove(node, safe=True)
