"""Matrix products with 8-bit weights, and activations that are quantized at run time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.functions import DOMAIN, VERSION, bottleneck_attention, stacked_ffn
from graphs.functions.bottleneck_attention_int8 import NAME as ATTENTION_INT8
from graphs.functions.bottleneck_attention_int8 import bottleneck_attention_int8
from graphs.functions.stacked_ffn_int8 import NAME as FFN_INT8
from graphs.functions.stacked_ffn_int8 import stacked_ffn_int8
from graphs.ir.constants import add_initializer, float_constant
from graphs.ir.layer_names import in_layers
from graphs.ir.linear import Linear
from graphs.ir.rewrite import Rewrite, replace, replace_node
from graphs.precision.channel_groups import scaled_linear
from graphs.precision.int8 import insert, quantized, quantized_product


class QuantizeDynamic(Rewrite):
    """Stores weights in 8 bits with a step per column, and quantizes activations at run time.

    Before::

        x ── Gemm(w, residual) ── y

    After::

        x ── DynamicQuantizeLinear ── MatMulInteger(int8 w) ── Cast ── Mul(step · steps) ── Add(residual) ── y

    which onnxruntime computes as one node. The functions mbert.StackedFFN and mbert.BottleneckAttention become
    mbert.StackedFFNInt8 and mbert.BottleneckAttentionInt8. Weights with other readers are not modified.

    Args:
        wanted: Returns whether a product is to be computed in 8 bits.
        keep: Layers whose functions are not modified.
    """

    def __init__(self, wanted: Callable[[Linear], bool], keep: Collection[str] = ()) -> None:
        super().__init__()
        self._wanted, self._keep = wanted, keep

    def rewrite(self, model: ir.Model) -> None:
        for node in list(model.graph):
            linear = scaled_linear(node)
            if linear is not None and self._wanted(linear):
                self._linear(model.graph, linear)
            elif node.domain != DOMAIN or in_layers(node, self._keep):
                continue
            elif node.op_type == stacked_ffn.NAME:
                self._stacked_ffn(model, node)
            elif node.op_type == bottleneck_attention.NAME:
                self._attention(model, node)
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)
            common_passes.RemoveUnusedFunctionsPass()(model)

    def _linear(self, graph: ir.Graph, linear: Linear) -> None:
        node, old = linear.node, linear.node.outputs[0]
        array = linear.weight64()
        weight, scale = self._weight(graph, str(linear.weight.name), array)
        addend = node.inputs[2] if len(node.inputs) > 2 else None
        result = quantized_product(node, linear.x, weight, scale)
        if addend is not None:
            result = insert(node, "Add", [result, addend])
        result.shape, result.type = old.shape, old.type
        replace(old, result)
        graph.remove(node, safe=True)
        self.matches += 1

    def _stacked_ffn(self, model: ir.Model, node: ir.Node) -> None:
        x, residual, *weights, out = node.inputs
        networks = len(weights) // 3
        inputs = [x, residual]
        for i in range(networks):
            wide, bias, narrow = weights[3 * i : 3 * i + 3]
            inputs += [*self._constant(model.graph, wide), bias, *self._constant(model.graph, narrow)]
        inputs += self._constant(model.graph, out)
        self._replace(model, node, FFN_INT8, inputs, stacked_ffn_int8(networks, model.opset_imports[""]))

    def _attention(self, model: ir.Model, node: ir.Node) -> None:
        x, mask, heads, weight_in, bias_in, weight_qk, bias_qk, weight_out = node.inputs
        into, both, out = (self._constant(model.graph, weight) for weight in (weight_in, weight_qk, weight_out))
        assert weight_out is not None
        assert weight_out.shape is not None
        width = weight_out.shape[1]
        assert isinstance(width, int)
        function = bottleneck_attention_int8(model.opset_imports[""], width)
        self._replace(model, node, ATTENTION_INT8, [x, mask, heads, *into, bias_in, *both, bias_qk, *out], function)

    def _replace(
        self, model: ir.Model, node: ir.Node, name: str, inputs: Sequence[ir.Value | None], function: ir.Function
    ) -> None:
        model.functions.setdefault(function.identifier(), function)
        replace_node(node, ir.node(name, inputs, domain=DOMAIN, version=VERSION))
        self.matches += 1

    def _constant(self, graph: ir.Graph, weight: ir.Value | None) -> tuple[ir.Value, ir.Value]:
        array = float_constant(weight)
        assert weight is not None
        assert array is not None
        return self._weight(graph, str(weight.name), array)

    def _weight(self, graph: ir.Graph, name: str, array: np.ndarray) -> tuple[ir.Value, ir.Value]:
        """Adds the int8 numbers ``[in, out]`` of a weight, and their scales ``[out]``."""
        numbers, scales = quantized(array, axis=0)
        return add_initializer(graph, f"{name}.int8", numbers), add_initializer(graph, f"{name}.scale", scales)
