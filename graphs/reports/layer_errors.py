"""Error of each layer alone in a lower precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from graphs.execution.centred_error import centred_errors
from graphs.execution.runner import runner
from graphs.execution.types import Feed
from graphs.ir.layer_names import EMBEDDINGS, in_layers, layers
from graphs.ir.linear import Linear
from graphs.lowering.bit_search import Plan
from graphs.lowering.pass_factory import Lowering
from graphs.model.shape_inference import infer_sizes
from graphs.passes.lower.quantize_dynamic import QuantizeDynamic
from graphs.passes.lower.quantize_static import QuantizeStatic
from graphs.passes.lower.quantize_table import QuantizeTable
from graphs.passes.lower.round_weights import RoundWeights
from graphs.pipeline import optimize
from graphs.precision.float16 import rounded, to_half

# The passes that convert a prepared graph to the lower precision.
LOWERING = ("halve", "quantize-table", "quantize-dynamic", "quantize-static")
# Other passes that preparation skips, since their result depends on which layers are lowered.
AFTER = ("round-weights",)


def damage_by_layer(
    model: ir.Model,
    precision: str,
    calibration: Sequence[Feed],
    feeds: Sequence[Feed],
    *,
    target: str = "cpu",
    plan: Plan | None = None,
) -> dict[str, float]:
    """Measures the centred error from float32 of a model with one layer in a lower precision, for each layer.

    Args:
        model: A float32 model. It is modified and must not be used afterwards.
        precision: `fp16` or `int8`.
        calibration: The texts on which the precision is chosen.
        feeds: The texts on which the error is measured.
        target: The target, as in `graphs.pipeline.optimize`.
        plan: The bits of activations, of int8 for phones; None for all others.

    Returns:
        The mean error over texts and outputs, by layer.
    """
    prepared = prepare(model, precision, calibration, target=target, compare=False)
    names = layers(prepared.graph)
    exact = runner(prepared)
    reference = [exact(feed) for feed in feeds]
    lower = _halved if precision == "fp16" else _quantizer(prepared, Lowering(precision, target, calibration), plan)
    found = {}
    for layer in names:
        found[layer] = float(centred_errors(runner(lower(prepared.clone(), layer)), feeds, reference).mean())
    return found


def prepare(
    model: ir.Model, precision: str, calibration: Sequence[Feed], *, target: str = "cpu", compare: bool = True
) -> ir.Model:
    """Returns a float32 graph that is ready for a lower precision: rescaled for it, with types and sizes known.

    Args:
        model: A float32 model. It is modified and must not be used afterwards.
        precision: `fp16` or `int8`.
        calibration: The texts on which the precision is chosen.
        target, compare: As in `graphs.pipeline.optimize`.
    """
    prepared = optimize(
        model,
        target=target,
        precision=precision,
        calibration=calibration,
        functions=False,
        skip=(*LOWERING, *AFTER),
        compare=compare,
    ).model
    infer_sizes(prepared)  # the pipeline removes types of inner values; without them no node would be lowered
    return prepared


def _halved(model: ir.Model, layer: str) -> ir.Model:
    to_half(model, [node for node in model.graph if not in_layers(node, [layer])])
    return rounded(model)


def _quantizer(prepared: ir.Model, lowering: Lowering, plan: Plan | None) -> Callable[[ir.Model, str], ir.Model]:
    """Returns a function that quantizes one layer of a model."""
    means = lowering.means(prepared)
    intervals = None if plan is None else lowering.intervals(prepared)

    def lower(model: ir.Model, layer: str) -> ir.Model:
        def wanted(linear: Linear) -> bool:
            return lowering.wanted(linear) and in_layers(linear.node, [layer])

        RoundWeights(means, wanted)(model)
        if layer == EMBEDDINGS:
            QuantizeTable(products=plan is None)(model)
        if plan is None or intervals is None:
            QuantizeDynamic(wanted)(model)
        else:
            QuantizeStatic(intervals, lambda linear: plan.bits(linear) if wanted(linear) else None)(model)
        return model

    return lower
