"""Nodes and initializers that are added to a graph, with names of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphs.functions import DOMAIN, VERSION
from graphs.functions.text_file.one_partition import in_branch
from graphs.ir.constants import add_initializer

PREFIX = "text."
# What a value of the model gets behind its name where a text file needs the name.
OTHER = ".other"


class Additions:
    """Adds nodes to a graph: `g("Add", x, y)` returns the output of a new node. An array becomes an initializer.

    Args:
        model: The model of the graph.
        branches: Whether the bodies of functions are put into branches.
    """

    def __init__(self, model: ir.Model, *, branches: bool) -> None:
        self.model = model
        self._branches = branches
        self._nodes: list[ir.Node] = []
        self._number = 0

    def __call__(self, operator: str, *operands: ir.Value | np.ndarray, **attributes: Any) -> ir.Value:
        """Adds a node with one output, and returns it."""
        return self.several(1, operator, *operands, **attributes)[0]

    def several(self, count: int, operator: str, *operands: ir.Value | np.ndarray, **attributes: Any) -> list[ir.Value]:
        """Adds a node with so many outputs, and returns them."""
        self._number += 1
        name = f"{PREFIX}{operator}_{self._number}"
        values = [x if isinstance(x, ir.Value) else self.constant(f"{name}.constant", x) for x in operands]
        names = [name if count == 1 else f"{name}.{number}" for number in range(count)]
        outputs = [ir.Value(name=output) for output in names]
        self._nodes.append(ir.node(operator, values, attributes, outputs=outputs, name=name))
        return outputs

    def constant(self, name: str, array: np.ndarray) -> ir.Value:
        """Adds an initializer."""
        return add_initializer(self.model.graph, name, array)

    def call(
        self, function: ir.Function, operands: Sequence[ir.Value], outputs: Iterable[str], **attributes: Any
    ) -> list[ir.Value]:
        """Adds a function to the model, and a node that calls it; returns the node's outputs, in order."""
        if self._branches:
            function = in_branch(function)
        self.model.functions[function.identifier()] = function
        function.opset_imports[""] = self.model.graph.opset_imports[""]
        self.model.graph.opset_imports[DOMAIN] = VERSION
        node = ir.node(
            function.name,
            operands,
            attributes,
            domain=DOMAIN,
            version=VERSION,
            outputs=[ir.Value(name=name) for name in outputs],
            name=f"{PREFIX}{function.name}",
        )
        self._nodes.append(node)
        return list(node.outputs)

    def int64(self, x: ir.Value | np.ndarray) -> ir.Value:
        return self("Cast", x, to=int(ir.DataType.INT64))

    def flush(self, before: ir.Node | None = None) -> None:
        """Puts the nodes into the graph: before a node, or at its end."""
        nodes, self._nodes = self._nodes, []
        if before is None:
            self.model.graph.extend(nodes)
        else:
            self.model.graph.insert_before(before, nodes)


def free_names(graph: ir.Graph, wanted: set[str]) -> None:
    """Renames the values of a graph that have one of these names, or one that begins with `PREFIX`."""
    values = {output for node in graph.all_nodes() for output in node.outputs}
    values |= {value for part in (graph, *graph.subgraphs()) for value in (*part.inputs, *part.initializers.values())}
    taken = {value.name for value in values}
    for value in values:
        name = str(value.name)
        if name in wanted or name.startswith(PREFIX):
            number, new = 1, name + OTHER
            while new in taken:
                number, new = number + 1, f"{name}{OTHER}{number + 1}"
            taken.add(new)
            value.name = new
