"""The layer that a node belongs to, as `graphs.passes.canonicalize.name_nodes` has named it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import onnx_ir as ir

# What names of PyTorch's modules have in them.
LAYER = re.compile(r"\blayer\.(\d+)\b")

# Nodes before the first layer, and after the last.
EMBEDDINGS, HEAD = "embeddings", "head"


def layer_of(node: ir.Node) -> str:
    """`layer.7`, `embeddings` or `head`."""
    return (node.name or "").split("/")[0]


def layers(graph: Iterable[ir.Node]) -> list[str]:
    """All layers of a graph, in order."""
    return list(dict.fromkeys(layer_of(node) for node in graph))


def in_layers(node: ir.Node, chosen: Collection[str]) -> bool:
    """Whether a node belongs to one of the chosen layers."""
    return layer_of(node) in chosen
