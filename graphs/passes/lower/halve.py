"""Conversion to half precision."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.errors import GraphError
from graphs.ir.layer_names import in_layers
from graphs.ir.rewrite import Rewrite
from graphs.precision.calibration import Ranges
from graphs.precision.float16 import to_half, too_large


class Halve(Rewrite):
    """Converts floating-point tensors to float16, except inputs, outputs and the layers to keep.

    Before::

        input_ids ── Gather(float table) ── Gemm(float w) ── y

    After::

        input_ids ── Gather(float16 table) ── Gemm(float16 w) ── Cast(float) ── y

    Args:
        ranges: The ranges of the graph that is rewritten.
        keep: Layers that stay float32, such as `layer.3` or `head`.

    Raises GraphError for a value too close to float16's largest number; the message names it.
    """

    def __init__(self, ranges: Ranges, keep: Collection[str] = ()) -> None:
        super().__init__()
        self._ranges, self._keep = ranges, keep

    def rewrite(self, model: ir.Model) -> None:
        kept = [node for node in model.graph if in_layers(node, self._keep)]
        found = too_large(model.graph, self._ranges, kept)
        if found:
            raise GraphError(found)
        before = _halves(model.graph)
        to_half(model, kept)
        common_passes.RemoveUnusedNodesPass()(model)
        self.matches = _halves(model.graph) - before


def _halves(graph: ir.Graph) -> int:
    """Returns the number of nodes with half-precision outputs."""
    return sum(any(output.dtype == ir.DataType.FLOAT16 for output in node.outputs) for node in graph)
