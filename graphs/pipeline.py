"""Pipeline: the ordered list of passes for each target and precision, and the function that runs them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.errors import GraphError, GraphUsageError, NotRunnableError, one_line
from graphs.execution.given_graph import run_given
from graphs.execution.judge import Judge
from graphs.execution.magnitudes import measure
from graphs.execution.retyping import FLOAT, retyped
from graphs.execution.types import Feed
from graphs.functions import DOMAIN
from graphs.ir.layer_names import layers
from graphs.ir.rewrite import Rewrite
from graphs.ledger import Costs, Entry, Outcome
from graphs.lowering.pass_factory import Lowering
from graphs.model.constant_folding import fold_small_constants
from graphs.model.costs import weight_bytes
from graphs.model.fingerprint import signature
from graphs.model.opsets import convert, raise_opset
from graphs.model.precision_of import HALVES, has_halves, quantized_operators
from graphs.model.shape_inference import infer_sizes
from graphs.model.sizes import NUMBERS
from graphs.passes.canonicalize.clean_up import CleanUp
from graphs.passes.canonicalize.embed_tokens import EmbedTokens
from graphs.passes.canonicalize.expand_einsum import ExpandEinsum
from graphs.passes.canonicalize.flatten_tokens import FlattenTokens
from graphs.passes.canonicalize.fuse_layer_norm import FuseLayerNorm
from graphs.passes.canonicalize.merge_views import MergeViews
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
from graphs.passes.fuse.fuse_embeddings import FuseEmbeddings
from graphs.passes.fuse.fuse_encoder import FuseEncoder
from graphs.passes.fuse.fuse_ffn import FuseFFN
from graphs.passes.lower.equalize_input import EqualizeInput
from graphs.passes.lower.halve import Halve
from graphs.passes.lower.quantize_dynamic import QuantizeDynamic
from graphs.passes.lower.quantize_static import QuantizeStatic
from graphs.passes.lower.quantize_table import QuantizeTable
from graphs.passes.lower.rescale import Rescale
from graphs.passes.lower.round_weights import RoundWeights
from graphs.passes.naming.name_nodes import NameNodes
from graphs.passes.naming.name_weights import NameWeights
from graphs.passes.prepare.remove_dropout import RemoveDropout
from graphs.passes.prepare.widen_half import WidenHalf
from graphs.precision.float16 import rounded

TARGETS = ("cpu", "mobile", "web")

# fp32 is the precision of the given graph.
PRECISIONS = ("fp32", "fp16", "int8")
LOWER = ("fp16", "int8")


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    Args:
        kind: The class of the pass.
        why: The reason for its position.
        targets: The targets for which it runs.
        precisions: The precisions for which it runs.
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
        """The first sentence of the pass's docstring, with single backticks around code."""
        return " ".join((self.kind.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")


def name_of(kind: type[Rewrite]) -> str:
    """Returns the name of a pass: `fold-affine` for the class FoldAffine."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()


STAGES = (
    Stage(RemoveDropout, "first, since with random numbers there is nothing to compare with"),
    Stage(WidenHalf, "before the comparison and all passes, which are about float32"),
    Stage(NameWeights, "while nodes have the names that their exporter gave them"),
    Stage(CleanUp, "first, since leftovers of the exporter hide matches"),
    Stage(ExpandEinsum, "before all passes that know products by MatMul"),
    Stage(SimplifyShapes, "before all passes that need shapes; it also removes readers that need only a value's shape"),
    Stage(MergeViews, "after sizes are known, which decide what a Reshape does"),
    Stage(CleanUp, "removes the computations that sizes no longer need"),
    Stage(SimplifyShapes, "again: with sizes that are constants now, more of them are known"),
    Stage(FuseLayerNorm, "before folding, which would otherwise take γ and β out of it"),
    Stage(SimplifyMask, "after sizes, which a mask is computed from"),
    Stage(RemoveNanGuard, "after the mask is known to be finite"),
    Stage(ScaleQuery, "before folding, which takes the scale into the query's weight"),
    Stage(SelectIndex, "before tokens are flattened, which changes the dimensions that it selects from"),
    Stage(EmbedTokens, "before folding, which takes sums in the order in which they stand"),
    Stage(CleanUp, "equal mask, sizes and views of all layers become one"),
    Stage(FlattenTokens, "before folding, so that linear layers are written as Gemm, which takes matrices"),
    Stage(SplitTiedHead, "on matrices, and before folding, which knows Gemm"),
    Stage(SeparateResidual, "before folding, which puts the residual's bias into its Gemm", targets=("mobile",)),
    Stage(FoldAffine, "while γ, β and biases are still constants of their own"),
    Stage(MergeLinear, "after folding, which gives readers of one tensor the same scale and removes most biases"),
    Stage(
        AccumulateResidual,
        "after folding, which leaves residual blocks without a bias; phones cannot take a residual in Gemm",
        targets=("cpu", "web"),
    ),
    Stage(CleanUp, "removes leftovers of the passes above"),
    Stage(NameNodes, "names are needed to measure values and to find layers that stay float32", precisions=LOWER),
    Stage(Rescale, "when all weights are final", precisions=LOWER),
    Stage(
        EqualizeInput, "after units are chosen, for products that no unit of their stream suits", precisions=("int8",)
    ),
    Stage(RoundWeights, "when weights are final, and their biases are constants of their own", precisions=("int8",)),
    Stage(Halve, "before fusing, whose bodies take any type", precisions=("fp16",)),
    Stage(FuseAttention, "on blocks in the form that the passes above give them", ("cpu", "web"), function=True),
    Stage(FuseFFN, "on blocks in the form that the passes above give them", ("cpu", "web"), function=True),
    Stage(CleanUp, "fusing may leave equal constants behind"),
    Stage(NameNodes, "when all nodes are there"),
    Stage(QuantizeTable, "before products, since the LM head's product reads the same table", precisions=("int8",)),
    Stage(QuantizeDynamic, "after fusing: fused blocks become the Int8 functions", ("cpu", "web"), ("int8",)),
    Stage(
        QuantizeStatic,
        "after the table; neural processors need steps that are known beforehand",
        ("mobile",),
        ("int8",),
    ),
    Stage(FuseEncoder, "when layers are in their final precision", ("cpu", "web"), function=True),
    Stage(FuseEmbeddings, "when tables and products are in their final precision", ("cpu", "web"), function=True),
    Stage(NameNodes, "names the new nodes"),
)

# Passes after which the graph is the one that the results are compared with, in float64.
PREPARING = (RemoveDropout, WidenHalf)

# Passes for a graph with products in 8 bits. All others read weights in float32.
FOR_QUANTIZED = (RemoveDropout,)

# Passes whose matches alone do not count as a change of the graph.
HOUSEKEEPING = (CleanUp, NameNodes, NameWeights)


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
    """Rewrites a MobileBERT graph for a target and a precision.

    Args:
        model: A model of opset 11 or newer, which is raised to 18. It is modified and must not be used afterwards.
        target: `cpu`, `mobile` (residuals stay outside of Gemm, whose third input must be constant there, and there
            are no functions) or `web`.
        precision: `fp32`, `fp16`, or `int8`: weights of 8 bits, and activations quantized at run time or, for
            `mobile`, with steps that are chosen beforehand.
        calibration: Inputs of real texts, one text each, on which fp16 and int8 are chosen.
        keep_float: Layers that stay float32, such as `layer.3`, `embeddings` or `head`.
        opset: The opset of the result; default: the model's own, at least 18.
        functions: Whether blocks become operators of the domain `mbert`.
        only: Names of the passes that run; default: all.
        skip: Names of passes that do not run.
        compare: Whether to run the model on a few texts, to measure values, so that no fold suffers from cancellation,
            and to compare the result after each pass.
        refuse: Whether a float32 result whose error is above the bound raises; False for callers that check it.
        progress: Called with the name of each pass before it runs.

    Raises:
        GraphError: the target, precision, a layer or a pass is unknown, the graph cannot be converted to that opset or
            precision, or the result is not the same model.
    """
    quantized = bool(quantized_operators(model))
    stages = [s for s in _chosen(target, precision, only, skip) if functions or not s.function]
    stages = [s for s in stages if not quantized or s.kind in FOR_QUANTIZED]
    if precision != "fp32" and not calibration and not quantized:
        raise GraphError(f"{precision} is chosen on texts and there are none; pass calibration")
    ports = [(v, v.name, v.type, v.shape) for v in (*model.graph.inputs, *model.graph.outputs)]
    if not quantized or opset is not None:
        raise_opset(model)
    before = signature(model)
    matched = False
    if not quantized or not functions or opset is not None:
        # Functions of an earlier run are inlined; the passes fuse the same nodes again if functions are wanted.
        matched = any(function.domain == DOMAIN for function in model.functions.values())
        try:
            common_passes.InlinePass(criteria=lambda function: function.domain == DOMAIN)(model)
        except ValueError as found:  # such as a function of another opset than the graph, which onnxruntime may run
            raise GraphError(
                f"the fused blocks of an earlier run cannot be written out ({one_line(found)}); optimize the file that "
                "they were made from"
            ) from found
        model.opset_imports.pop(DOMAIN, None)
    compare = compare and model.graph.num_nodes() > 0
    ledger, notes = _prepare(model, stages, compare=compare, refuse=refuse, progress=progress)
    if any(entry.name == name_of(WidenHalf) and entry.matches for entry in ledger):
        ports = [(v, name, kind and retyped(kind, HALVES, FLOAT), shape) for v, name, kind, shape in ports]
    matched |= any(entry.matches for entry in ledger)
    judge = Judge.of(model, refuse=refuse) if compare else None
    if opset is not None:
        model = convert(model, opset)
    if not quantized and not any(stage.kind is CleanUp for stage in stages):
        fold_small_constants(model)  # otherwise paddings that are computed have unknown sizes
        infer_sizes(model)
    restarts, halved = 0, False
    costs = Costs(model)
    lowering = Lowering(precision, target, calibration, keep_float)
    for stage in stages:
        if stage.kind in PREPARING:
            continue
        if progress is not None:
            progress(stage.name)
        if stage.kind is Rescale:
            _check_layers(model, keep_float)
        step = _build(stage, target, model, judge, lowering)
        nodes, started = model.graph.num_nodes(), time.perf_counter()
        step(model)
        seconds = time.perf_counter() - started
        matched |= step.matches > 0 and stage.kind not in HOUSEKEEPING
        restarts += getattr(step, "restarts", 0)
        notes += step.notes
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
        raise GraphError(judge.refusal("the optimised graph", error))
    return Outcome(model, ledger, changed, restarts, error, judge, lowering.plan, notes)


def compared_form(
    model: ir.Model, only: Collection[str] | None = None, skip: Collection[str] = ()
) -> tuple[ir.Model, list[str]]:
    """Returns a copy of a graph as it is compared with, at inference in float32; and notes, a line each.

    Args:
        model: The given graph; it is not modified.
        only, skip: As in `optimize`.
    """
    copy, notes = model.clone(), list[str]()
    for stage in _chosen(TARGETS[0], PRECISIONS[0], only, skip):
        if stage.kind in PREPARING:
            step = stage.kind()
            step(copy)
            notes += step.notes
    return copy, notes


def _prepare(
    model: ir.Model, stages: Sequence[Stage], *, compare: bool, refuse: bool, progress: Callable[[str], None] | None
) -> tuple[list[Entry], list[str]]:
    """Runs the passes after which the graph is the one that results are compared with; returns their entries and notes.

    A graph in half precision is run as it is, too: widened, it may be finite where the file is not.

    Raises GraphError for such a graph whose outputs are not finite, or not the same twice.
    """
    ledger, notes = list[Entry](), list[str]()
    for stage in stages:
        if stage.kind not in PREPARING:
            continue
        if progress is not None:
            progress(stage.name)
        runs = True
        if stage.kind is WidenHalf and compare and has_halves(model):
            try:
                run_given(model, refuse=refuse)
            except NotRunnableError:  # bfloat16, which its CPU provider does not have
                runs = False
        step, nodes, size = stage.kind(), model.graph.num_nodes(), weight_bytes(model)
        started = time.perf_counter()
        step(model)
        seconds = time.perf_counter() - started
        after = model.graph.num_nodes()
        saved = size - weight_bytes(model)
        ledger.append(Entry(stage.name, step.matches, nodes, after, 0, saved, None, seconds, step.misses))
        notes += step.notes
        if not runs:
            notes.append("onnxruntime does not run the file in half precision here; its float32 form was compared with")
    return ledger, notes


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
        raise GraphUsageError(f"no layer is called {unknown!r}; known: {', '.join(known)}")


def _build(stage: Stage, target: str, model: ir.Model, judge: Judge | None, lowering: Lowering) -> Rewrite:
    if stage.kind is FoldAffine:
        magnitudes = {} if judge is None else measure(model, judge.feeds[0])
        return FoldAffine(bias_in_gemm=target == "mobile", magnitudes=magnitudes)
    return lowering.build(stage.kind, model) or stage.kind()


def _tidy(model: ir.Model, ports: list[tuple[ir.Value, str | None, ir.TypeProtocol | None, ir.Shape | None]]) -> None:
    """Restores names, types and shapes of inputs and outputs, and removes inferred sizes, types and shapes."""
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
