"""Selection of one index of a tensor."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import add_initializer, integers, sliced
from graphs.ir.rewrite import Rewrite, replace


class SelectIndex(Rewrite):
    """Replaces a Split or Slice to a size of 1, followed by Squeeze, by one Gather.

    Before::

        logits ── Split(axis 2) ─┬─ Squeeze(2) ── start_logits
                                 └─ Squeeze(2) ── end_logits

    After::

        logits ─┬─ Gather(0, axis 2) ── start_logits
                └─ Gather(1, axis 2) ── end_logits
    """

    def rewrite(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type != "Squeeze" or node.domain != "" or node.inputs[0] is None:
                continue
            found = _selected(node, node.inputs[0])
            if found is None:
                continue
            x, axis, index = found
            chosen = add_initializer(model.graph, "index", np.array(index, dtype=np.int64))
            output = node.outputs[0]
            value = ir.Value(shape=output.shape, type=output.type)
            gather = ir.node("Gather", [x, chosen], attributes={"axis": axis}, outputs=[value])
            model.graph.insert_before(node, gather)
            inner = node.inputs[0].producer()
            replace(output, value)
            model.graph.remove(node, safe=True)
            if inner is not None and not any(o.uses() or o.is_graph_output() for o in inner.outputs):
                model.graph.remove(inner, safe=True)
            self.matches += 1


def _selected(squeeze: ir.Node, part: ir.Value) -> tuple[ir.Value, int, int] | None:
    """Returns the tensor, axis and index that a Squeeze of a part selects; None if it is not one index."""
    node = part.producer()
    if node is None or node.domain != "" or part.shape is None:
        return None
    x, rank = node.inputs[0], len(part.shape)
    axes = integers(squeeze.inputs[1]) if len(squeeze.inputs) > 1 else None
    if x is None or axes is None or len(axes) != 1:
        return None
    axis = axes[0] % rank
    if node.op_type == "Split" and node.attributes.get_int("axis", 0) % rank == axis:
        single = all(o.shape is not None and o.shape[axis] == 1 for o in node.outputs)
        return (x, axis, part.index() or 0) if single else None
    if node.op_type == "Slice":
        start = _one_of(node, axis, rank)
        return None if start is None else (x, axis, start)
    return None


def _one_of(node: ir.Node, axis: int, rank: int) -> int | None:
    """Returns the index that a Slice selects along this axis, if it selects one index of this axis only; else None."""
    bounds = sliced(node, rank)
    if bounds is None or list(bounds) != [axis]:
        return None
    start, end = bounds[axis]
    return start if start >= 0 and end == start + 1 else None
