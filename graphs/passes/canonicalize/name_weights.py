"""Names of weights by layer."""

from __future__ import annotations

import onnx_ir as ir

from graphs.ir.layer_names import LAYER
from graphs.ir.rewrite import Rewrite


class NameWeights(Rewrite):
    """Names a weight that has only a number after the node that reads it, if that name contains a layer.

    Before::

        /mobilebert/encoder/layer.7/intermediate/dense/MatMul: x ── MatMul(onnx::MatMul_2143) ── y

    After::

        … x ── MatMul(mobilebert.encoder.layer.7.intermediate.dense.MatMul.weight) ── y

    TorchScript transposes the weights of linear layers and numbers the results. Nodes that are written later are named
    after the weights.
    """

    def rewrite(self, model: ir.Model) -> None:
        initializers = model.graph.initializers
        taken = set(initializers) | {value.name for value in model.graph.inputs}
        for value in list(initializers.values()):
            readers = {use.node for use in value.uses()}
            if LAYER.search(value.name or "") or len(readers) != 1 or value.is_graph_output():
                continue
            path = (readers.pop().name or "").strip("/").replace("/", ".")
            name = f"{path}.weight"
            if LAYER.search(path) and name not in taken and not value.is_graph_input():
                taken.add(name)
                value.name = name
                self.matches += 1
