"""What each layer alone costs in a lower precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphs.execution import Feed, runner
from graphs.half import rounded, to_half
from graphs.judge import centred_error
from graphs.layers import EMBEDDINGS, in_layers, layers
from graphs.linear import Linear
from graphs.passes.quantize_dynamic import QuantizeDynamic
from graphs.passes.quantize_table import QuantizeTable
from graphs.pipeline import optimize
from graphs.quantization import is_large
from graphs.sizes import infer_sizes

# The passes that turn a prepared graph into one of lower precision.
LOWERING = ("halve", "quantize-table", "quantize-dynamic")


def damage_by_layer(
    model: ir.Model, precision: str, calibration: Sequence[Feed], feeds: Sequence[Feed]
) -> dict[str, float]:
    """The centred error from float32 of a model of which one layer is in a lower precision, for each layer.

    Args:
        model: float32; used up.
        precision: `fp16` or `int8`.
        calibration: Texts that it is chosen on.
        feeds: Texts that it is measured on.
    """
    prepared = prepare(model, precision, calibration, compare=False)
    names = layers(prepared.graph)
    exact = runner(prepared)
    reference = [exact(feed) for feed in feeds]
    found = {}
    for layer in names:
        run = runner(_lowered(prepared.clone(), precision, layer, [name for name in names if name != layer]))
        errors = []
        for feed, judge in zip(feeds, reference, strict=True):
            outputs = run(feed)
            errors += [centred_error(outputs[name], judge[name], feed.get("attention_mask")) for name in judge]
        found[layer] = float(np.mean(errors))
    return found


def prepare(model: ir.Model, precision: str, calibration: Sequence[Feed], *, compare: bool = True) -> ir.Model:
    """A graph in float32 that is all but in a lower precision: rescaled for it, with types and sizes known.

    Args:
        model: float32; used up.
        precision: `fp16` or `int8`.
        calibration: Texts that it is chosen on.
        compare: As in `graphs.pipeline.optimize`.
    """
    prepared = optimize(
        model, precision=precision, calibration=calibration, functions=False, skip=LOWERING, compare=compare
    ).model
    infer_sizes(prepared)  # a file tells no types of what is within; without them, nothing would be lowered
    return prepared


def _lowered(model: ir.Model, precision: str, layer: str, others: Sequence[str]) -> ir.Model:
    if precision == "fp16":
        to_half(model, [node for node in model.graph if in_layers(node, others)])
        return rounded(model)

    def wanted(linear: Linear) -> bool:
        return is_large(linear) and in_layers(linear.node, [layer])

    if layer == EMBEDDINGS:
        QuantizeTable()(model)
    QuantizeDynamic(wanted)(model)
    return model
