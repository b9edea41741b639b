"""Scaling of a product's input for 8 bits, where no unit of its stream suits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import add_initializer
from graphs.ir.linear import Linear
from graphs.ir.rewrite import Rewrite
from graphs.precision.calibration import Ranges
from graphs.precision.channel_groups import PLAIN, ChannelGroups, scaled_linear
from graphs.precision.channel_scales import is_measured, loss_in_8_bits, wished_units

# A Mul is inserted where the squared error of 8 bits is at least this many times as large without it.
LEAST_GAIN = 2.0

# A stream with no more readers than this has units that fit all of them. (A block has one to four feed-forward
# networks, and a Mul between them would only prevent their fusion.)
FEW_READERS = 8


class EqualizeInput(Rewrite):
    """Rescales a stream's channels before a product that will be computed in 8 bits.

    Before::

        u ── Gemm(w) ── y

    After::

        u ── Mul(1 / unit) ── Gemm(unit · w) ── y

    The outer stream has one unit for each channel in all layers, but grows from layer to layer, more in some channels
    than in others. The streams within a block have units that fit their few readers. Units are powers of two, so that
    float32 computes the same as before.

    Args:
        ranges: The ranges of the graph that is rewritten.
        channels: The channel groups of this graph.
        wanted: Returns whether a product will be computed in 8 bits.
    """

    def __init__(self, ranges: Ranges, channels: ChannelGroups, wanted: Callable[[Linear], bool]) -> None:
        super().__init__()
        self._ranges, self._channels, self._wanted = ranges, channels, wanted

    def rewrite(self, model: ir.Model) -> None:
        graph = model.graph
        linears = [linear for node in graph if (linear := scaled_linear(node)) and self._wanted(linear)]
        readers = Counter(self._stream(linear) for linear in linears)
        for linear in linears:
            node = linear.node
            measured = self._ranges.get(str(linear.x.name))
            if measured is None or not is_measured(linear, measured):
                continue
            if self._stream(linear) != PLAIN and readers[self._stream(linear)] <= FEW_READERS:
                continue
            unit = wished_units(linear, measured)
            plain = np.ones(len(unit))
            if not loss_in_8_bits(linear, measured, plain) > LEAST_GAIN * loss_in_8_bits(linear, measured, unit):
                continue
            dtype = linear.x.dtype or ir.DataType.FLOAT
            inverse = add_initializer(graph, f"{linear.weight.name}.unit", (1.0 / unit).astype(dtype.numpy()))
            scaled = ir.Value(shape=linear.x.shape, type=linear.x.type)
            graph.insert_before(node, ir.node("Mul", [linear.x, inverse], outputs=[scaled]))
            weight = unit.reshape(-1, 1) * linear.weight64()
            weight = weight.T if linear.transposed else weight
            node.replace_input_with(0, scaled)
            node.replace_input_with(
                1, add_initializer(graph, f"{linear.weight.name}.equalized", weight.astype(dtype.numpy()))
            )
            self.matches += 1

    def _stream(self, linear: Linear) -> int:
        """Returns the stream that a product reads, as the first group of its input channels."""
        found = self._channels.of(linear.x)
        return PLAIN if found is None else int(found[0].reshape(-1)[0])
