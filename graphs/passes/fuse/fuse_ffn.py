"""Fusion of a block's feed-forward networks."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.functions import DOMAIN, VERSION
from graphs.functions.stacked_ffn import NAME, stacked_ffn
from graphs.ir.linear import Linear, as_linear
from graphs.ir.matching import MismatchError, check, plain_bias, plain_weight, producer_of, residual_gemm
from graphs.ir.rewrite import Rewrite, replace_node

# The operators of transformers' `hidden_act`. (Tanh is the pooler's.)
ACTIVATIONS = frozenset(("Relu", "Gelu", "Sigmoid", "LeakyRelu", "HardSwish", "Mish", "Elu"))


class FuseFFN(Rewrite):
    """Fuses a block's feed-forward networks and output bottleneck into one node `mbert.StackedFFN`.

    Before::

        u ─┬─ Gemm(W1, b1) ── Relu ── Gemm(W2) ── u' ─┬─ … ── Gemm(W) ── y
           └────────────────────────── (third input) ─┘      outer ─── (third input)

    After::

        u ── mbert.StackedFFN(outer, W1, b1, W2, …, W) ── y
    """

    def rewrite(self, model: ir.Model) -> None:
        graph = model.graph
        fused: set[ir.Node] = set()
        missed: dict[ir.Node, MismatchError] = {}
        for node in list(graph):
            if node.op_type != "Gemm" or node.domain != "" or not _follows_network(node):
                continue
            try:
                fused |= self._fuse(model, node)
            except MismatchError as mismatch:
                missed[node] = mismatch
        for found in missed.values():
            self.miss(found.node, found.reason)
        for node in graph:
            if not missed and node.op_type in ACTIVATIONS and node not in fused:
                reason = _why_not_network(node)
                if reason is not None:
                    self.miss(node, reason)
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)
            model.opset_imports[DOMAIN] = VERSION

    def _fuse(self, model: ir.Model, last: ir.Node) -> set[ir.Node]:
        """Fuses the networks before a Gemm; returns their activation nodes."""
        graph = model.graph
        projection = residual_gemm(last)
        networks: list[tuple[Linear, Linear]] = []
        activations: set[ir.Node] = set()
        stream = projection.x
        while (found := _network(stream)) is not None:
            wide, relu, narrow = found
            networks.insert(0, (wide, narrow))
            activations.add(relu)
            stream = wide.x
        inner = {narrow.node.outputs[0] for _, narrow in networks}
        check(last.inputs[2] not in inner, last, "it adds to the inner stream; expected the outer one")
        readers = {use.node for wide, narrow in networks for use in narrow.node.outputs[0].uses()}
        inside = {last, *(linear.node for pair in networks for linear in pair)}
        outside = [node for node in readers if node not in inside]
        check(not outside, outside[0] if outside else last, "it reads the stream between two networks")
        function = stacked_ffn(len(networks), model.opset_imports[""])
        known = model.functions.get(function.identifier())
        count = f"{len(networks)} feed-forward networks, unlike other blocks of this model"
        check(known is None or len(known.inputs) == len(function.inputs), last, count)
        model.functions[function.identifier()] = known or function
        weights: list[ir.Value] = []
        for wide, narrow in networks:
            weights += [plain_weight(graph, wide), plain_bias(graph, wide), plain_weight(graph, narrow)]
        inputs = [stream, last.inputs[2], *weights, plain_weight(graph, projection)]
        replace_node(last, ir.node(NAME, inputs, domain=DOMAIN, version=VERSION))
        self.matches += 1
        return activations


def _follows_network(node: ir.Node) -> bool:
    """Returns whether a Gemm reads the result of a network, and is not the first layer of another."""
    x = node.inputs[0]
    if x is None or _network(x) is None:
        return False
    return not any(use.node.op_type in ACTIVATIONS for use in node.outputs[0].uses())


def _network(stream: ir.Value) -> tuple[Linear, ir.Node, Linear] | None:
    """Returns the two linear layers of the network that wrote to a stream last, and the node between them."""
    try:
        node = producer_of(stream, "Gemm", stream.producer() or _NOWHERE)
        narrow = residual_gemm(node)
        relu = producer_of(narrow.x, "Relu", node)
        wide = as_linear(producer_of(relu.inputs[0], ("Gemm", "MatMul"), relu))
    except MismatchError:
        return None
    if wide is None or wide.x is not node.inputs[2]:
        return None
    for value in (relu.outputs[0], wide.node.outputs[0]):
        if value.is_graph_output() or len(value.uses()) != 1:
            return None
    return (wide, relu, narrow) if not stream.is_graph_output() else None


_NOWHERE = ir.node("Identity", [])


def _why_not_network(activation: ir.Node) -> str | None:
    """Returns why the nodes around an activation are not a network; None if they do not resemble one."""
    x = activation.inputs[0]
    before = None if x is None else x.producer()
    after = [use.node for use in activation.outputs[0].uses()]
    if before is None or as_linear(before) is None or not any(node.op_type in ("Gemm", "MatMul") for node in after):
        return None
    if activation.op_type != "Relu":
        return f"the activation is {activation.op_type}; expected Relu"
    try:
        narrow = residual_gemm(after[0])
    except MismatchError as mismatch:
        return f"at {after[0].name}: {mismatch.reason}"
    linear = as_linear(before)
    if linear is not None and narrow.node.inputs[2] is not linear.x:
        return f"{narrow.node.name} adds to another stream than {before.name} reads"
    return "no Gemm with the outer stream as its third input follows the networks"
