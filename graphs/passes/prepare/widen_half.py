"""Conversion of half precision to float32."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.execution.retyping import retype
from graphs.ir.rewrite import Rewrite, bypass
from graphs.model.precision_of import HALVES, LOOKUPS, MOVING, has_halves
from graphs.model.shape_inference import infer_sizes

FLOAT = ir.DataType.FLOAT

# Operators whose numbers are stored in the file.
FILLERS = ("Constant", "ConstantOfShape")


class WidenHalf(Rewrite):
    """Converts float16 and bfloat16 to float32, which holds all their numbers; passes fold and measure in float32.

    Before::

        ids ── Gather(float16 table) ── MatMul(float16 weight) ── Cast(float32) ── y

    After::

        ids ── Gather(float32 table) ── MatMul(float32 weight) ── y

    Weights keep their values, and activations in half precision are no longer rounded. Inputs and outputs in half
    precision become float32.
    """

    def rewrite(self, model: ir.Model) -> None:
        if not has_halves(model):
            return
        if model.functions:
            common_passes.InlinePass()(model)
        infer_sizes(model)  # the types tell which casts are between float types
        values = [output for graph in model.graphs() for node in graph for output in node.outputs]
        values += [value for graph in model.graphs() for value in (*graph.inputs, *graph.initializers.values())]
        self.matches = sum(value.dtype in HALVES for value in values)
        ports = [str(value.name) for value in (*model.graph.inputs, *model.graph.outputs) if value.dtype in HALVES]
        is_stored_only = all(_is_stored(value) for value in values if value.dtype in HALVES) and not ports
        casts = [node for node in model.graph if _is_between_floats(node)]
        retype(model, HALVES, FLOAT)
        for node in casts:
            bypass(model.graph, node)
        now = f"; {', '.join(ports)} {'is' if len(ports) == 1 else 'are'} float32 now" if ports else ""
        self.notes.append(
            "the file's weights were in half precision: they were widened to float32, without a change of their values"
            if is_stored_only
            else "the file was in half precision: its weights were widened to float32, without a change of their "
            f"values, and its activations are no longer rounded{now}"
        )


def _is_stored(value: ir.Value | None) -> bool:
    """Returns whether a value is a constant, or such numbers moved or looked up: nothing was computed and rounded."""
    while value is not None:
        producer = value.producer()
        if producer is None:
            return value.is_initializer()
        if producer.op_type in FILLERS:
            return True
        value = producer.inputs[0] if producer.op_type in (*MOVING, *LOOKUPS) else None
    return False


def _is_between_floats(node: ir.Node) -> bool:
    """Returns whether a node casts from or to half precision, and neither from nor to integers."""
    if node.op_type != "Cast" or node.domain != "" or node.inputs[0] is None:
        return False
    kinds = {node.inputs[0].dtype, ir.DataType(node.attributes.get_int("to", 0))}
    return kinds <= {*HALVES, FLOAT}
