"""Rescaling of activations to units that 16 or 8 bits hold, with the inverse in the weights."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.constants import add_initializer, float_constant
from graphs.ir.rewrite import Rewrite
from graphs.precision.channel_groups import ChannelGroups, scaled_linear


class Rescale(Rewrite):
    """Divides each channel of the streams by a unit, and folds the units into the weights around them.

    Before::

        x ── Gemm(w1, b1) ── h ── Relu ── Gemm(w2) ── y

    After::

        x ── Gemm(w1 / unit, b1 / unit) ── h / unit ── Relu ── Gemm(unit · w2) ── y

    No node is added or removed. `graphs.precision.channel_groups` finds the channels that must share a unit,
    `graphs.precision.channel_scales` chooses the units from measured ranges. Units that are powers of two change no
    digit of any number.

    Args:
        channels: The channel groups of the graph that is rewritten.
        units: The unit of each group.
    """

    def __init__(self, channels: ChannelGroups, units: np.ndarray) -> None:
        super().__init__()
        self._channels, self._units = channels, units

    def rewrite(self, model: ir.Model) -> None:
        for node in list(model.graph):
            linear = scaled_linear(node)
            if linear is not None:
                x, y = self._unit(linear.x), self._unit(node.outputs[0])
                into = np.ones((1, 1)) if x is None else x.reshape(-1, 1)
                out = np.ones(1) if y is None else y.reshape(-1)
                self._set(node, 1, (into / out).T if linear.transposed else into / out)
                if len(node.inputs) > 2:  # a bias, or another constant for each token
                    self._set(node, 2, 1.0 / out)
            elif node.op_type in ("Gather", "Slice", "Add", "Sub") and node.domain == "":
                y = self._unit(node.outputs[0])
                for index, value in enumerate(node.inputs):
                    if y is not None and float_constant(value) is not None:
                        self._set(node, index, 1.0 / (y if node.op_type in ("Add", "Sub") else y.reshape(-1)))
            elif node.op_type == "Mul" and node.domain == "":
                self._factor(node)
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)

    def _factor(self, node: ir.Node) -> None:
        for index, value in enumerate(node.inputs):
            constant = float_constant(value)
            if constant is not None and constant.size > 1:
                x, y = self._unit(node.inputs[1 - index]), self._unit(node.outputs[0])
                self._set(node, index, np.divide(1.0 if x is None else x, 1.0 if y is None else y))

    def _unit(self, value: ir.Value | None) -> np.ndarray | None:
        return None if value is None else self._channels.unit(value, self._units)

    def _set(self, node: ir.Node, index: int, factor: np.ndarray) -> None:
        """Replaces a node's constant by its product with a factor, rounded from float64."""
        old = node.inputs[index]
        array = float_constant(old)
        if old is None or array is None or old.dtype is None or (factor == 1.0).all():
            return
        assert node.graph is not None
        graph = node.graph
        assert isinstance(graph, ir.Graph)
        new = add_initializer(graph, f"{old.name}.rescaled", (array * factor).astype(old.dtype.numpy()))
        node.replace_input_with(index, new)
        self.matches += 1
