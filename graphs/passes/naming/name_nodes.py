"""Names of nodes by layer."""

from __future__ import annotations

import onnx_ir as ir

from graphs.functions import DOMAIN, encoder
from graphs.ir.layer_names import EMBEDDINGS, ENCODER, HEAD, LAYER, STORED
from graphs.ir.rewrite import Rewrite


class NameNodes(Rewrite):
    """Names nodes and values after the layer whose weights they come from: ``layer.7/Gemm_3``.

    Before::

        node_Gemm_2143: val_128 ── Gemm(mobilebert.encoder.layer.7.ffn.0…weight) ── val_131

    After::

        layer.7/Gemm_3: layer.7/Softmax_0 … ── layer.7/Gemm_3

    A node without a weight belongs to the layer of the nodes before it; nodes before any layer belong to
    ``embeddings``, those after the last to ``head``, and operators that compute several layers to ``encoder``. Inputs,
    outputs and initializers keep their names.
    """

    def rewrite(self, model: ir.Model) -> None:
        graph = model.graph
        nodes = list(graph)
        places = [_layer(node) for node in nodes]
        last = max((index for index, place in enumerate(places) if place), default=-1)
        place, counts = EMBEDDINGS, dict[str, int]()
        for index, node in enumerate(nodes):
            place = places[index] or (place if index <= last else HEAD)
            prefix = f"{place}/{node.op_type}"
            name = f"{prefix}_{counts.get(prefix, 0)}"
            counts[prefix] = counts.get(prefix, 0) + 1
            self.matches += node.name != name
            node.name = name
            for position, output in enumerate(node.outputs):
                if not output.is_graph_output():
                    output.name = name if position == 0 else f"{name}:{position}"


def _layer(node: ir.Node) -> str | None:
    """Returns `layer.7` if the node reads a weight of layer 7, and `encoder` for one of several; None for others."""
    if node.domain == DOMAIN and node.op_type in encoder.NAMES:
        return ENCODER
    for read in node.inputs:
        value = read
        while value is not None and (form := value.producer()) is not None and form.op_type in STORED:
            value = form.inputs[0]
        found = LAYER.search(value.name or "") if value is not None and value.is_initializer() else None
        if found:
            return found.group(0)
    return None
