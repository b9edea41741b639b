"""Names of weights by layer."""

from __future__ import annotations

import onnx_ir as ir

from graphs.ir.constants import constant
from graphs.ir.layer_names import LAYER, STORED, module_of, with_layer
from graphs.ir.layer_structure import structural_layers
from graphs.ir.rewrite import Rewrite

# The types of weights, of which the last two are quantized.
WEIGHTS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.INT8, ir.DataType.UINT8)


class NameWeights(Rewrite):
    """Names a weight whose name has no layer after the layer of the node that reads it.

    Before::

        /mobilebert/encoder/layer.7/intermediate/dense/MatMul: x ── MatMul(onnx::MatMul_2143) ── y

    After::

        … x ── MatMul(mobilebert.encoder.layer.7.intermediate.dense.MatMul.weight) ── y

    Exporters transpose the weights of linear layers and number the results, or name all weights after operators. The
    layer is then in the node's name, as in TorchScript's and TensorFlow's exports, or in the modules that torch.export
    records with each node. Where no name in the graph has a layer, its structure decides. Nodes that are written later
    are named after the weights.
    """

    def rewrite(self, model: ir.Model) -> None:
        graph = model.graph
        self._graph = graph
        values = [*graph.initializers.values(), *graph.inputs, *(output for node in graph for output in node.outputs)]
        self._taken = {value.name for value in values}
        every = [value for value in graph.initializers.values() if _is_weight(value)]
        weights = [value for value in every if not _has_layer(value)]
        for value in every:
            if _has_layer(value):
                self._rename_forms(value)
            elif (node := _reader(value)) is not None:
                self._rename(value, _name(value, node))
        if any(_has_layer(value) for value in graph.initializers.values()):
            return
        found = structural_layers(graph)
        for value in weights:
            layers = {found.get(node) for node in _readers(value)}
            if len(layers) == 1 and None not in layers:
                self._rename(value, f"layer.{layers.pop()}.{value.name}")

    def _rename(self, value: ir.Value, name: str | None) -> None:
        """Renames a weight, and the values between it and its reader."""
        if name is None or value.is_graph_output() or value.is_graph_input():
            return
        number, unique = 1, name
        while unique in self._taken:
            number += 1
            unique = f"{name}.{number}"
        self._taken.add(unique)
        value.name = unique
        self.matches += 1
        self._rename_forms(value)

    def _rename_forms(self, value: ir.Value) -> None:
        """Names other forms of a weight after it, such as its transpose: constant folding keeps the last name."""
        uses = list(value.uses())
        if len(uses) != 1 or uses[0].node.op_type not in STORED or uses[0].idx != 0:
            return
        form = uses[0].node.outputs[0]
        if not _has_layer(form):
            self._rename(form, f"{value.name}.{uses[0].node.op_type}")


def _is_weight(value: ir.Value) -> bool:
    """Returns whether a constant is a weight, not a number, a size or an axis."""
    tensor = value.const_value
    return tensor is not None and tensor.size > 1 and value.dtype in WEIGHTS


def _has_layer(value: ir.Value) -> bool:
    return LAYER.search(value.name or "") is not None


def _readers(value: ir.Value) -> list[ir.Node]:
    """Returns the nodes that read a weight, perhaps after a change of its form."""
    readers = []
    for use in value.uses():
        node = use.node
        readers += _readers(node.outputs[0]) if node.op_type in STORED and use.idx == 0 else [node]
    return readers


def _reader(value: ir.Value) -> ir.Node | None:
    readers = set(_readers(value))
    return readers.pop() if len(readers) == 1 else None


def _name(value: ir.Value, node: ir.Node) -> str | None:
    """Returns a weight's name with its layer, from its own name, its reader's, or its reader's module."""
    module = module_of(node)
    if module is not None:
        return f"{module}.{_part(value, node)}"
    own = with_layer(value.name or "")
    if own is not None:
        return own
    path = with_layer(node.name or "")
    return None if path is None else f"{path}.weight"


def _part(value: ir.Value, node: ir.Node) -> str:
    array = constant(value)
    return "bias" if node.op_type == "Add" and array is not None and array.ndim == 1 else "weight"
