"""Layer of a node, read from the name that `graphs.passes.canonicalize.name_nodes` gave it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import onnx_ir as ir

# The part of a PyTorch module's name that names the layer.
LAYER = re.compile(r"\blayer\.(\d+)\b")

# The names of the nodes before the first layer, and of those after the last.
EMBEDDINGS, HEAD = "embeddings", "head"


def layer_of(node: ir.Node) -> str:
    """Returns the layer of a node: `layer.7`, `embeddings` or `head`."""
    return (node.name or "").split("/")[0]


def layers(graph: Iterable[ir.Node]) -> list[str]:
    """Returns all layers of a graph, in order."""
    return list(dict.fromkeys(layer_of(node) for node in graph))


def in_layers(node: ir.Node, chosen: Collection[str]) -> bool:
    """Returns whether a node belongs to one of the chosen layers."""
    return layer_of(node) in chosen
