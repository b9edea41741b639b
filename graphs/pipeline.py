"""Which passes run, in which order, for which target. The one place that knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.errors import GraphError
from graphs.magnitudes import measure
from graphs.opsets import convert
from graphs.passes.accumulate_residual import AccumulateResidual
from graphs.passes.fold_affine import FoldAffine
from graphs.passes.merge_linear import MergeLinear
from graphs.passes.name_nodes import NameNodes

TARGETS = ("cpu", "mobile", "web")


@dataclass(frozen=True)
class Step:
    """What one pass did."""

    name: str
    nodes_before: int
    nodes_after: int


@dataclass(frozen=True)
class Outcome:
    """The optimised model, what each pass did, and the streams that could not be carried on symbolically."""

    model: ir.Model
    steps: list[Step] = field(default_factory=list)
    restarts: int = 0


def optimize(
    model: ir.Model,
    *,
    target: str = "cpu",
    opset: int | None = None,
    samples: Mapping[str, np.ndarray] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Rewrites a MobileBERT graph for a target. The model handed in is used up.

    Args:
        model: opset 18 or newer.
        target: `cpu`, `mobile` (residuals stay outside of Gemm, whose third input must be constant there) or `web`.
        opset: the opset of the result; default: as it is.
        samples: one feed of inputs. If given, values are measured on it, and none is folded that would cancel.
        progress: called with each pass's name.

    Raises:
        GraphError: the target is unknown, or the graph cannot be converted to that opset.
    """
    if target not in TARGETS:
        raise GraphError(f"no target is called {target!r}; known: {', '.join(TARGETS)}")
    magnitudes = measure(model, samples) if samples is not None else {}
    fold = FoldAffine(bias_in_gemm=target == "mobile", magnitudes=magnitudes)
    steps = []
    for step in _passes(target, fold):
        if progress is not None:
            progress(type(step).__name__)
        before = model.graph.num_nodes()
        step(model)
        steps.append(Step(type(step).__name__, before, model.graph.num_nodes()))
    if opset is not None:
        model = convert(model, opset)
    return Outcome(model, steps, fold.restarts)


def _passes(target: str, fold: FoldAffine) -> Sequence[ir.passes.PassBase]:
    return [
        # First, while γ, β and biases are still constants of their own.
        fold,
        # After folding, which gives readers of one tensor the same scale, and takes away most biases.
        MergeLinear(),
        # After folding, which leaves residual blocks without a bias; phones cannot take a residual in Gemm.
        *([] if target == "mobile" else [AccumulateResidual()]),
        # What the passes above have left behind.
        common_passes.RemoveUnusedNodesPass(),
        common_passes.DeduplicateInitializersPass(size_limit=SMALL_CONSTANT),
        common_passes.RemoveUnusedOpsetsPass(),
        NameNodes(),
    ]


# Constants up to this many numbers (shapes, axes, split sizes) are shared where they are equal.
SMALL_CONSTANT = 16
