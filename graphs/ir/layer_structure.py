"""Layers of a graph whose names say nothing, recognised by its structure: each attention is in one layer.

A layer begins at the stream that its attention and its residual read. All paths from the word embeddings to the next
layer's attention lead through that stream, so it is a dominator of it, as in a compiler's flow graph.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection

import onnx_ir as ir

from graphs.ir.constants import constant

# The most nodes between a softmax and the product with the values: casts, dropout, and a guard against NaN.
MOST_BETWEEN = 6

# The operators of NoNorm and of a layer normalization that is written out.
NORM = frozenset("Add Cast Div Dropout Identity LayerNormalization Mul Pow ReduceMean Reciprocal Sqrt Sub".split())  # noqa: SIM905


def structural_layers(graph: ir.Graph) -> dict[ir.Node, int]:
    """Returns the number of the layer of each node that depends on the word embeddings and belongs to a layer."""
    nodes = [node for node in graph if node.domain == ""]
    words = _words(nodes)
    if words is None:
        return {}
    dominators = _immediate_dominators(nodes, words)
    attentions = [node for node in nodes if node in dominators and _is_attention(node)]
    if not attentions:
        return {}
    place = {node: index for index, node in enumerate(nodes)}
    starts = [_start(dominators, attention, after) for attention, after in _pairs(graph, dominators, attentions)]
    if None in starts:
        return {}
    firsts = [place[start] + 1 for start in starts if start is not None]
    end = _end(dominators, attentions[-1], nodes)
    found = {}
    for node in nodes:
        if node in dominators and firsts[0] <= place[node] <= end:
            found[node] = sum(first <= place[node] for first in firsts) - 1
    return found


def _words(nodes: list[ir.Node]) -> ir.Node | None:
    """Returns the lookup in the largest constant table."""
    lookups = [node for node in nodes if node.op_type == "Gather" and _rows(node) > 1]
    return max(lookups, key=_rows, default=None)


def _rows(gather: ir.Node) -> int:
    table = gather.inputs[0]
    shape = None if table is None or not table.is_initializer() else table.shape
    return shape[0] if shape is not None and len(shape) == 2 and isinstance(shape[0], int) else 0


def _is_attention(node: ir.Node) -> bool:
    """Returns whether a node is a softmax whose result is multiplied with activations, unlike that of a head."""
    if node.op_type != "Softmax":
        return False
    waiting = [(node, 0)]
    while waiting:
        current, far = waiting.pop()
        for reader in (use.node for output in current.outputs for use in output.uses()):
            if reader.op_type in ("MatMul", "Einsum") and all(constant(x) is None for x in reader.inputs):
                return True
            if far < MOST_BETWEEN and reader.op_type not in ("MatMul", "Gemm"):
                waiting.append((reader, far + 1))
    return False


def _immediate_dominators(nodes: list[ir.Node], root: ir.Node) -> dict[ir.Node, ir.Node]:
    """Returns the last node through which all paths from a root to a node lead, for each node that depends on it.

    The nodes are in the order of execution. Sizes do not count: a reader of a shape does not depend on the numbers.
    """
    found = {root: root}
    depth = {root: 0}
    for node in nodes:
        before = [x.producer() for x in node.inputs if x is not None]
        known = [other for other in before if other is not None and other in found]
        if node is root or node.op_type == "Shape" or not known:
            continue
        found[node] = _common(found, depth, known)
        depth[node] = depth[found[node]] + 1
    return found


def _common(found: dict[ir.Node, ir.Node], depth: dict[ir.Node, int], nodes: list[ir.Node]) -> ir.Node:
    """Returns the last common dominator of some nodes."""
    common = nodes[0]
    for node in nodes[1:]:
        other = node
        while other is not common:
            if depth[other] >= depth[common]:
                other = found[other]
            else:
                common = found[common]
    return common


def _chain(found: dict[ir.Node, ir.Node], node: ir.Node) -> list[ir.Node]:
    """Returns the dominators of a node, from the root on, with the node itself."""
    chain = [node]
    while found[chain[-1]] is not chain[-1]:
        chain.append(found[chain[-1]])
    return chain[::-1]


def _pairs(
    graph: ir.Graph, found: dict[ir.Node, ir.Node], attentions: list[ir.Node]
) -> list[tuple[ir.Node, list[ir.Node]]]:
    """Returns each attention with the nodes that come after its layer: the next attention, or those of the outputs."""
    last = _reached(attentions[-1:])
    ends = [output.producer() for output in graph.outputs]
    after = [node for node in ends if node is not None and node in last and node in found]
    return [*((one, [other]) for one, other in itertools.pairwise(attentions)), (attentions[-1], after)]


def _start(found: dict[ir.Node, ir.Node], attention: ir.Node, after: list[ir.Node]) -> ir.Node | None:
    """Returns the last node before an attention through which all paths to the nodes after its layer lead."""
    if not after:
        return None
    chains = [_chain(found, node) for node in after]
    before = _reaching(attention)
    shared = [node for node in chains[0] if all(node in chain for chain in chains[1:]) and node in before]
    return shared[-1] if shared and shared[-1] is not attention else None


def _end(found: dict[ir.Node, ir.Node], attention: ir.Node, nodes: list[ir.Node]) -> int:
    """Returns the position of the last node of the last layer: its residual sum, or the norm after it."""
    place = {node: index for index, node in enumerate(nodes)}
    reached = _reached([attention])
    sums = [node for node in nodes if node in reached and _is_sum(found, node)]
    if not sums:
        return len(nodes) - 1
    return max(place.get(node, 0) for node in _reached(sums[-1:], NORM))


def _is_sum(found: dict[ir.Node, ir.Node], node: ir.Node) -> bool:
    """Returns whether a node adds two activations that depend on the words, as a residual sum does."""
    producers = [None if x is None else x.producer() for x in node.inputs]
    return node.op_type == "Add" and all(other is not None and other in found for other in producers)


def _reached(nodes: list[ir.Node], operators: Collection[str] | None = None) -> set[ir.Node]:
    """Returns some nodes and those that depend on them, through these operators or any."""
    seen, waiting = set(nodes), list(nodes)
    while waiting:
        readers = {use.node for output in waiting.pop().outputs for use in output.uses()}
        new = {node for node in readers - seen if operators is None or node.op_type in operators}
        seen |= new
        waiting += new
    return seen


def _reaching(node: ir.Node) -> set[ir.Node]:
    """Returns a node and the nodes that it depends on."""
    seen, waiting = {node}, [node]
    while waiting:
        producers = {x.producer() for x in waiting.pop().inputs if x is not None}
        new = {other for other in producers if other is not None} - seen
        seen |= new
        waiting += new
    return seen
