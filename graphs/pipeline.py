"""Which passes run, in which order, for which target. The one place that knows."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.errors import GraphError
from graphs.execution.judge import Judge
from graphs.execution.magnitudes import measure
from graphs.execution.runner import Feed
from graphs.functions import DOMAIN
from graphs.ir.layer_names import layers
from graphs.ir.rewrite import Miss, Rewrite
from graphs.lowering.bit_search import Plan
from graphs.lowering.pass_factory import Lowering
from graphs.model.constant_folding import fold_small_constants
from graphs.model.costs import PRODUCTS, macs, sized, weight_bytes
from graphs.model.fingerprint import signature
from graphs.model.opsets import convert, raise_opset
from graphs.model.shape_inference import infer_sizes
from graphs.model.sizes import NUMBERS
from graphs.passes.canonicalize.clean_up import CleanUp
from graphs.passes.canonicalize.embed_tokens import EmbedTokens
from graphs.passes.canonicalize.flatten_tokens import FlattenTokens
from graphs.passes.canonicalize.fuse_layer_norm import FuseLayerNorm
from graphs.passes.canonicalize.merge_views import MergeViews
from graphs.passes.canonicalize.name_nodes import NameNodes
from graphs.passes.canonicalize.name_weights import NameWeights
from graphs.passes.canonicalize.remove_nan_guard import RemoveNanGuard
from graphs.passes.canonicalize.select_index import SelectIndex
from graphs.passes.canonicalize.simplify_mask import SimplifyMask
from graphs.passes.canonicalize.simplify_shapes import SimplifyShapes
from graphs.passes.canonicalize.split_tied_head import SplitTiedHead
from graphs.passes.fold.accumulate_residual import AccumulateResidual
from graphs.passes.fold.fold_affine import FoldAffine
from graphs.passes.fold.merge_linear import MergeLinear
from graphs.passes.fold.scale_query import ScaleQuery
from graphs.passes.fold.separate_residual import SeparateResidual
from graphs.passes.fuse.fuse_attention import FuseAttention
from graphs.passes.fuse.fuse_ffn import FuseFFN
from graphs.passes.lower.equalize_input import EqualizeInput
from graphs.passes.lower.halve import Halve
from graphs.passes.lower.quantize_dynamic import QuantizeDynamic
from graphs.passes.lower.quantize_static import QuantizeStatic
from graphs.passes.lower.quantize_table import QuantizeTable
from graphs.passes.lower.rescale import Rescale
from graphs.passes.lower.round_weights import RoundWeights
from graphs.precision.float16 import rounded

TARGETS = ("cpu", "mobile", "web")

# fp32 is what a graph comes in.
PRECISIONS = ("fp32", "fp16", "int8")
LOWER = ("fp16", "int8")

# The length at which multiply-accumulates are counted.
COUNTED_LENGTH = 128


@dataclass(frozen=True)
class Stage:
    """A pass and its place.

    Args:
        kind: The pass.
        why: Why it stands there.
        targets: For which targets it runs.
        precisions: For which precisions.
        function: Whether it writes an operator of the domain `mbert`.
    """

    kind: type[Rewrite]
    why: str
    targets: Sequence[str] = TARGETS
    precisions: Sequence[str] = PRECISIONS
    function: bool = False

    @property
    def name(self) -> str:
        return name_of(self.kind)

    @property
    def summary(self) -> str:
        """The first sentence of the pass's docstring."""
        return " ".join((self.kind.__doc__ or "").split("\n\n")[0].split())


def name_of(kind: type[Rewrite]) -> str:
    """`fold-affine`, of FoldAffine."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()


STAGES = (
    Stage(NameWeights, "while nodes have the names that their exporter gave them"),
    Stage(CleanUp, "first, so that what exporters leave behind hides nothing"),
    Stage(SimplifyShapes, "before all that asks for shapes, and reads values that only their shapes were read of"),
    Stage(MergeViews, "after sizes are known, since what a Reshape does is told by them"),
    Stage(CleanUp, "what sizes were computed from is gone"),
    Stage(SimplifyShapes, "again: where sizes are constants now, more of them are known"),
    Stage(FuseLayerNorm, "before folding, which else takes γ and β out of it"),
    Stage(SimplifyMask, "after sizes, which a mask is computed from"),
    Stage(RemoveNanGuard, "after the mask is known to be finite"),
    Stage(ScaleQuery, "before folding, which takes the scale into the query's weight"),
    Stage(SelectIndex, "before tokens are flattened: it is about dimensions"),
    Stage(EmbedTokens, "before folding, which takes sums in the order in which they stand"),
    Stage(CleanUp, "equal mask, sizes and views of all layers become one"),
    Stage(FlattenTokens, "before folding, so that linear layers are written as Gemm, which takes matrices"),
    Stage(SplitTiedHead, "on matrices, and before folding, which knows Gemm"),
    Stage(SeparateResidual, "before folding, which puts the residual's bias into its Gemm", targets=("mobile",)),
    Stage(FoldAffine, "while γ, β and biases are still constants of their own"),
    Stage(MergeLinear, "after folding, which gives readers of one tensor the same scale, and takes away most biases"),
    Stage(
        AccumulateResidual,
        "after folding, which leaves residual blocks without a bias; phones cannot take a residual in Gemm",
        targets=("cpu", "web"),
    ),
    Stage(CleanUp, "what the passes above have left behind"),
    Stage(NameNodes, "what is measured has a name, and layers to keep are told by theirs", precisions=LOWER),
    Stage(Rescale, "when all weights are final", precisions=LOWER),
    Stage(EqualizeInput, "after units are chosen, where they do not do", precisions=("int8",)),
    Stage(RoundWeights, "when weights are final, and their biases are constants of their own", precisions=("int8",)),
    Stage(Halve, "before fusing, whose bodies take any type", precisions=("fp16",)),
    Stage(FuseAttention, "last, on blocks in the form that the passes above give them", ("cpu", "web"), function=True),
    Stage(FuseFFN, "likewise", ("cpu", "web"), function=True),
    Stage(CleanUp, "fusing may leave equal constants behind"),
    Stage(NameNodes, "when all nodes are there"),
    Stage(QuantizeTable, "before products, since the LM head's reads the same numbers", precisions=("int8",)),
    Stage(QuantizeDynamic, "last: fused blocks become those of 8 bits", ("cpu", "web"), ("int8",)),
    Stage(QuantizeStatic, "likewise, for processors that want to know the steps", ("mobile",), ("int8",)),
    Stage(NameNodes, "of the new nodes, too", precisions=("int8",)),
)

# Passes that alone are no reason to write another file.
HOUSEKEEPING = (CleanUp, NameNodes, NameWeights)


@dataclass(frozen=True)
class Entry:
    """What one pass did.

    Args:
        name: The pass.
        matches: How often it fired.
        nodes_before, nodes_after: Nodes of the main graph.
        macs_saved: Multiply-accumulates at batch 1 and `COUNTED_LENGTH` tokens; None if they are not known.
        bytes_saved: Of weights; negative where the pass made new ones and the old ones are still read.
        error: The centred error of the graph after it; None where nothing was compared.
        seconds: What it took, comparing not included.
        misses: Places that looked like the pass's own, and were left alone.
    """

    name: str
    matches: int
    nodes_before: int
    nodes_after: int
    macs_saved: int | None
    bytes_saved: int
    error: float | None
    seconds: float
    misses: list[Miss] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """An optimised model.

    Args:
        model: The model.
        ledger: What each pass did, in order.
        changed: Whether it is another graph than the one that was handed in.
        restarts: Streams that could not be carried on symbolically.
        error: The centred error of the result; None where nothing was compared.
        judge: What it was compared with.
        plan: Of int8 for phones, how many bits activations have; None elsewhere.
    """

    model: ir.Model
    ledger: list[Entry]
    changed: bool
    restarts: int = 0
    error: float | None = None
    judge: Judge | None = None
    plan: Plan | None = None

    @property
    def given_error(self) -> float | None:
        """The centred error of the graph that was handed in; None where it is itself what is compared with."""
        return None if self.judge is None else self.judge.given

    @property
    def bound(self) -> float | None:
        """The largest error that passes."""
        return None if self.judge is None else self.judge.bound


def optimize(
    model: ir.Model,
    *,
    target: str = "cpu",
    precision: str = "fp32",
    calibration: Sequence[Feed] = (),
    keep_float: Collection[str] = (),
    opset: int | None = None,
    functions: bool = True,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
    compare: bool = True,
    refuse: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Rewrites a MobileBERT graph for a target and a precision. The model handed in is used up.

    Args:
        model: opset 11 or newer; raised to 18.
        target: `cpu`, `mobile` (residuals stay outside of Gemm, whose third input must be constant there, and there
            are no functions) or `web`.
        precision: `fp32`, `fp16`, or `int8`: weights of 8 bits, and activations quantized as they come or, for
            `mobile`, with steps that are chosen beforehand.
        calibration: Inputs of real texts, one each, on which fp16 and int8 are chosen.
        keep_float: Layers that stay float32, such as `layer.3`, `embeddings` or `head`.
        opset: the opset of the result; default: as it is, 18 at least.
        functions: Whether blocks become operators of the domain `mbert`.
        only: Names of the passes that run; default: all.
        skip: Names of passes that do not run.
        compare: Whether to run the model on a few texts: values are measured, and none is folded that would cancel;
            the result is compared after each pass.
        refuse: Whether a float32 result that differs is an error, for callers that do not compare it themselves.
        progress: called with each pass's name.

    Raises:
        GraphError: the target, precision, a layer or a pass is unknown, the graph cannot be converted to that opset or
            precision, or the result is not the same model.
    """
    stages = [s for s in _chosen(target, precision, only, skip) if functions or not s.function]
    if precision != "fp32" and not calibration:
        raise GraphError(f"{precision} is chosen on texts, and there are none; pass calibration")
    ports = [(v, v.name, v.type, v.shape) for v in (*model.graph.inputs, *model.graph.outputs)]
    raise_opset(model)
    before = signature(model)
    # Ours are written anew, from the same nodes, if they are wanted.
    matched = any(function.domain == DOMAIN for function in model.functions.values())
    common_passes.InlinePass(criteria=lambda function: function.domain == DOMAIN)(model)
    model.opset_imports.pop(DOMAIN, None)
    judge = Judge.of(model) if compare and model.graph.num_nodes() else None
    if opset is not None:
        model = convert(model, opset)
    if not any(stage.kind is CleanUp for stage in stages):
        fold_small_constants(model)  # else the inference of sizes takes paddings that are computed for unknown
        infer_sizes(model)
    ledger: list[Entry] = []
    restarts, halved = 0, False
    costs = _Costs(model)
    lowering = Lowering(precision, target, calibration, keep_float)
    for stage in stages:
        if progress is not None:
            progress(stage.name)
        if stage.kind is Rescale:
            _check_layers(model, keep_float)
        step = _make(stage, target, model, judge, lowering)
        nodes, started = model.graph.num_nodes(), time.perf_counter()
        step(model)
        seconds = time.perf_counter() - started
        matched |= step.matches > 0 and stage.kind not in HOUSEKEEPING
        restarts += getattr(step, "restarts", 0)
        saved_macs, saved_bytes = costs.saved(model) if step.matches else (0, 0)
        halved |= stage.kind is Halve
        error = judge.error(rounded(model) if halved else model, feeds=1) if judge and step.matches else None
        after = model.graph.num_nodes()
        ledger.append(
            Entry(stage.name, step.matches, nodes, after, saved_macs, saved_bytes, error, seconds, step.misses)
        )
    _tidy(model, ports)
    changed = (matched or opset is not None) and signature(model) != before
    error = judge.error(rounded(model) if halved else model) if judge is not None else None
    exact = precision == "fp32"
    if refuse and exact and judge is not None and error is not None and not error <= judge.bound:
        raise GraphError(
            f"the optimised graph is not the same model: centred error {error:.1e}, bound {judge.bound:.1e}"
        )
    return Outcome(model, ledger, changed, restarts, error, judge, lowering.plan)


def _chosen(target: str, precision: str, only: Collection[str] | None, skip: Collection[str]) -> list[Stage]:
    if target not in TARGETS:
        raise GraphError(f"no target is called {target!r}; known: {', '.join(TARGETS)}")
    if precision not in PRECISIONS:
        raise GraphError(f"no precision is called {precision!r}; known: {', '.join(PRECISIONS)}")
    known = {stage.name for stage in STAGES}
    unknown = next((name for name in (*(only or ()), *skip) if name not in known), None)
    if unknown is not None:
        raise GraphError(f"no pass is called {unknown!r}; known: {', '.join(sorted(known))}")
    return [
        stage
        for stage in STAGES
        if target in stage.targets
        and precision in stage.precisions
        and (only is None or stage.name in only)
        and stage.name not in skip
    ]


def _check_layers(model: ir.Model, keep_float: Collection[str]) -> None:
    known = layers(model.graph)
    unknown = next((name for name in keep_float if name not in known), None)
    if unknown is not None:
        raise GraphError(f"no layer is called {unknown!r}; known: {', '.join(known)}")


def _make(stage: Stage, target: str, model: ir.Model, judge: Judge | None, lowering: Lowering) -> Rewrite:
    if stage.kind is FoldAffine:
        magnitudes = {} if judge is None else measure(model, judge.feeds[0])
        return FoldAffine(bias_in_gemm=target == "mobile", magnitudes=magnitudes)
    return lowering.make(stage.kind, model) or stage.kind()


class _Costs:
    """What a model costs, kept from pass to pass."""

    def __init__(self, model: ir.Model) -> None:
        self._products, self._macs, self._bytes = _products(model), _macs(model), weight_bytes(model)

    def saved(self, model: ir.Model) -> tuple[int | None, int]:
        """Multiply-accumulates and bytes of weights that are gone since the last call."""
        old_macs, old_bytes, products = self._macs, self._bytes, _products(model)
        if products != self._products:  # counting takes longer than most passes
            self._products, self._macs = products, _macs(model)
        self._bytes = weight_bytes(model)
        saved = None if old_macs is None or self._macs is None else old_macs - self._macs
        return saved, old_bytes - self._bytes


def _products(model: ir.Model) -> Counter[str]:
    """The matrix products of a graph, by the shapes of their weights; and the operators that hold others."""
    found: Counter[str] = Counter()
    for node in model.graph:
        if node.domain != "":
            found[node.op_type] += 1
        elif node.op_type in PRODUCTS:
            weight = node.inputs[1]
            constant = weight is not None and weight.const_value is not None and weight.shape is not None
            found[str(sorted(map(str, weight.shape))) if constant and weight and weight.shape else "activations"] += 1
    return found


def _macs(model: ir.Model) -> int | None:
    try:
        return macs(sized(model, COUNTED_LENGTH))
    except Exception:  # onnx's inference of shapes stops at what it does not know
        return None


def _tidy(model: ir.Model, ports: list[tuple[ir.Value, str | None, ir.TypeProtocol | None, ir.Shape | None]]) -> None:
    """Gives inputs and outputs what they had, and takes away what was only of use here."""
    graph = model.graph
    for node in graph:
        for output in node.outputs:
            output.metadata_props.pop(NUMBERS, None)
            if node.domain in ("", DOMAIN):
                output.shape = output.type = None
    declared = {name: (kind, shape) for _, name, kind, shape in ports}
    for value in (*graph.inputs, *graph.outputs):
        value.type, value.shape = declared[value.name]
    common_passes.RemoveUnusedFunctionsPass()(model)
    common_passes.RemoveUnusedOpsetsPass()(model)
