"""Layers: of a node that `graphs.passes.naming.name_nodes` has named, and in the names that exporters give."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable

import onnx_ir as ir

# The part of a PyTorch module's name that names the layer.
LAYER = re.compile(r"\blayer\.(\d+)\b")

# The same in the names of others: TensorFlow's `encoder/layer_._7/…` and `encoder/layer_7/…`, and torch.export's
# `encoder_layer_7_…`.
OTHER_LAYER = re.compile(r"(?:^|(?<=[./])|(?<=encoder_))layer(?:_\._|[._])(\d+)(?=[./_:]|$)")

# torch.export's record of the modules that a node comes from, the outermost first, then the node's own name.
SCOPES = "pkg.torch.onnx.name_scopes"

# The operators that may stand between a weight and the node that it belongs to.
STORED = frozenset(("Cast", "DequantizeLinear", "Identity", "Reshape", "Transpose"))

# The names of the nodes before the first layer, of those that compute several layers, and of those after the last.
EMBEDDINGS, ENCODER, HEAD = "embeddings", "encoder", "head"


def with_layer(name: str) -> str | None:
    """Returns a name with dots, and with its layer written as `layer.7`; None for a name without a layer."""
    name = name.partition(":")[0]
    found = None if LAYER.search(name) else OTHER_LAYER.search(name)
    if found is not None:
        parts = (name[: found.start()].rstrip("._/"), f"layer.{found.group(1)}", name[found.end() :].lstrip("._/"))
        name = ".".join(part for part in parts if part)
    dotted = name.strip("/").replace("/", ".")
    return dotted if LAYER.search(dotted) else None


def module_of(node: ir.Node) -> str | None:
    """Returns the PyTorch module that torch.export made a node of, if it is in a layer; else None."""
    try:
        scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
    except (ValueError, SyntaxError):
        return None
    names = scopes if isinstance(scopes, list) else []
    return next((name for name in reversed(names) if isinstance(name, str) and LAYER.search(name)), None)


def layer_of(node: ir.Node) -> str:
    """Returns the layer of a node: `layer.7`, `embeddings`, `head`, or `encoder` for fused layers."""
    return (node.name or "").split("/")[0]


def layers(graph: Iterable[ir.Node]) -> list[str]:
    """Returns all layers of a graph, in order."""
    return list(dict.fromkeys(layer_of(node) for node in graph))


def in_layers(node: ir.Node, chosen: Collection[str]) -> bool:
    """Returns whether a node belongs to one of the chosen layers."""
    return layer_of(node) in chosen
