"""Removal of the guard against NaN after a softmax that cannot give NaN."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.constants import float_constant
from graphs.ir.masks import is_padding_bias, masked_scores
from graphs.ir.rewrite import Rewrite, replace


class RemoveNanGuard(Rewrite):
    """Removes the NaN guard after a softmax over scores with a finite mask, which gives no NaN.

    Before::

        scores + mask ── Softmax ─┬─ IsNaN ─┐
                                  └─────────┴─ Where(·, 0, ·) ── MatMul(values)

    After::

        scores + mask ── Softmax ── MatMul(values)

    torch's attention has the guard for rows that are entirely masked with −inf. The mask of `simplify-mask` is finite,
    so such a row gives all tokens the same weight.
    """

    def rewrite(self, model: ir.Model) -> None:
        for node in list(model.graph):
            softmax = _guarded(node)
            if softmax is None:
                continue
            if not _has_finite_mask(softmax):
                self.miss(node, "the mask before it may be −inf; expected one that simplify-mask has made finite")
                continue
            if node.outputs[0].is_graph_output() and softmax.outputs[0].is_graph_output():
                continue
            replace(node.outputs[0], softmax.outputs[0])
            self.matches += 1
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)


def _has_finite_mask(softmax: ir.Node) -> bool:
    """Returns whether a softmax reads a product to which only a finite mask is added."""
    add = masked_scores(softmax)
    if add is None:
        return False
    masks = [is_padding_bias(value) for value in add.inputs if value is not None]
    return any(_is_product(value) and masks[1 - index] for index, value in enumerate(add.inputs))


def _is_product(value: ir.Value | None) -> bool:
    node = None if value is None else value.producer()
    if node is not None and node.op_type in ("Mul", "Div") and node.domain == "":  # a scale
        varying = [x for x in node.inputs if float_constant(x) is None]
        node = varying[0].producer() if len(varying) == 1 and varying[0] is not None else None
    return node is not None and node.op_type == "MatMul" and node.domain == ""


def _guarded(node: ir.Node) -> ir.Node | None:
    """Returns the Softmax of Where(IsNaN(Softmax), 0, Softmax); None for any other node."""
    if node.op_type != "Where" or node.domain != "":
        return None
    condition, zero, value = node.inputs
    isnan = None if condition is None else condition.producer()
    softmax = None if value is None else value.producer()
    if isnan is None or isnan.op_type != "IsNaN" or isnan.domain != "" or isnan.inputs[0] is not value:
        return None
    array = float_constant(zero)
    is_zero = array is not None and array.size == 1 and array.ndim <= 4 and array.item() == 0
    return softmax if softmax is not None and softmax.op_type == "Softmax" and is_zero else None
