"""Removal of Dropout, which belongs to training."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.constants import constant
from graphs.ir.rewrite import Rewrite, bypass
from graphs.ir.text_inputs import switch_off_training


class RemoveDropout(Rewrite):
    """Removes Dropout, which does nothing at inference; in a file exported in training mode it draws random numbers.

    Before::

        x ── Dropout(ratio, training_mode = true) ── y

    After::

        x ── y

    Dropout scales what it keeps by 1/(1 − ratio), so its mean is its input: the model in evaluation mode computes that.
    An input that switches training mode, such as Keras's `training`, is read as false. A Dropout whose mask is read is
    not modified, nor one whose mode is computed from other inputs.
    """

    def rewrite(self, model: ir.Model) -> None:
        if any(node.op_type == "Dropout" for function in model.functions.values() for node in function):
            common_passes.InlinePass()(model)
        flags = switch_off_training(model.graph)
        if flags:
            self.matches += len(flags)
            self.notes.append(
                f"the input {', '.join(flags)} switches training mode: it is taken as false, as at inference, and the "
                "result ignores it"
            )
        live = 0
        for graph in model.graphs():
            for node in list(graph):
                if node.op_type != "Dropout" or node.domain != "" or node.inputs[0] is None:
                    continue
                reason = _obstacle(node)
                if reason is not None:
                    self.miss(node, reason)
                    continue
                live += bool(_training_mode(node))
                bypass(graph, node)
                self.matches += 1
        if live:
            self.notes.append(
                f"the file was exported in training mode: {live} live Dropout nodes were removed, which draw random "
                "numbers in some runtimes (onnxruntime's default optimizations remove them, too)"
            )


def _training_mode(node: ir.Node) -> bool | None:
    """Returns whether a Dropout drops anything; None if that is unknown. Before opset 12 it never does at inference."""
    mode = node.inputs[2] if len(node.inputs) > 2 else None
    if mode is None:
        return False
    array = constant(mode)
    return None if array is None else bool(array.any())


def _obstacle(node: ir.Node) -> str | None:
    """Returns the reason why a Dropout cannot be removed; None if it can."""
    if _training_mode(node) is None:
        return "its training_mode is computed; expected a constant or an input"
    if any(mask.uses() or mask.is_graph_output() for mask in node.outputs[1:]):
        return "its mask is read; expected only its first output to be"
    return None
