"""Fusion of consecutive layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.functions import DOMAIN, VERSION, bottleneck_attention, bottleneck_attention_int8, stacked_ffn
from graphs.functions import stacked_ffn_int8 as ffn_int8
from graphs.functions.encoder import ATTENTION_STREAMS, FFN_STREAMS, FLOAT16, INT8, NAME, encoder, networks_of
from graphs.ir.constants import constant
from graphs.ir.matching import MismatchError, check, only_reader
from graphs.ir.rewrite import Rewrite, replace_node

# The operators of a layer's first half, and those of the second half that fit them.
HALVES = {bottleneck_attention.NAME: stacked_ffn.NAME, bottleneck_attention_int8.NAME: ffn_int8.NAME}

# The oldest IR version in which a file may have several functions of one name.
OVERLOADS_SINCE = 10


class FuseEncoder(Rewrite):
    """Fuses consecutive layers into one node `mbert.Encoder`, which skips padding and is called once.

    Before::

        x ─┬─ mbert.BottleneckAttention(mask) ── mbert.StackedFFN ─┬─ mbert.BottleneckAttention(mask) ── … ── y
           └─────────────────────────────────────── (residual) ───┘

    After::

        x ── mbert.Encoder(mask) ── y

    Layers of int8 weights become mbert.EncoderInt8, those of float16 mbert.EncoderFloat16. The vector that an
    attention's input is multiplied by becomes an input, too. A value that another node reads, or that is an output of
    the graph, ends a run of layers; so does another precision.
    """

    def rewrite(self, model: ir.Model) -> None:
        runs = list[list[_Layer]]()
        for node in list(model.graph):
            if node.domain != DOMAIN or node.op_type not in HALVES:
                continue
            try:
                layer = _layer(node)
            except MismatchError as mismatch:
                self.miss(mismatch.node, mismatch.reason)
                continue
            if runs and _follows(layer, runs[-1][-1]):
                runs[-1].append(layer)
            else:
                runs.append([layer])
        for run in runs:
            self._fuse(model, run)
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)

    def _fuse(self, model: ir.Model, run: Sequence[_Layer]) -> None:
        first, last = run[0], run[-1]
        inputs = [first.ffn.inputs[1], first.mask, first.heads]  # the run before may have replaced first.x
        for layer in run:
            factor = [] if layer.factor is None else [layer.factor]
            inputs += [*factor, *layer.attention.inputs[ATTENTION_STREAMS:], *layer.ffn.inputs[FFN_STREAMS:]]
        factors = [int(layer.factor is not None) for layer in run]
        attention, ffn = (model.functions[node.op_identifier()] for node in (first.attention, first.ffn))
        function = _registered(model, first.operator, attention, ffn, factors)
        node = ir.node(
            function.name,
            inputs,
            attributes={"layers": len(run), "networks": networks_of(ffn), "factors": factors},
            domain=DOMAIN,
            overload=function.overload,
            version=VERSION,
        )
        replace_node(last.ffn, node)
        self.matches += 1


@dataclass(frozen=True)
class _Layer:
    """Layer of fused halves: its streams, the vector before its attention, and the operator for its precision."""

    x: ir.Value
    mask: ir.Value
    heads: ir.Value
    factor: ir.Value | None
    attention: ir.Node
    ffn: ir.Node
    operator: str


def _layer(attention: ir.Node) -> _Layer:
    """Returns the layer that begins with a node's attention; raises MismatchError if the rest is not one."""
    read, mask, heads = attention.inputs[:ATTENTION_STREAMS]
    ffn = only_reader(attention.outputs[0], attention, "its results")
    expected = HALVES[attention.op_type]
    fits = ffn.domain == DOMAIN and ffn.op_type == expected and ffn.inputs[0] is attention.outputs[0]
    check(fits, ffn, f"it reads {attention.op_type} ({attention.name}); expected {DOMAIN}.{expected}")
    x = ffn.inputs[1]
    assert read is not None
    assert x is not None
    assert mask is not None
    assert heads is not None
    factor = None if read is x else _factor(read, x, attention)
    weights = [*attention.inputs[ATTENTION_STREAMS:], *ffn.inputs[FFN_STREAMS:]]
    kinds = {value.dtype for value in (*weights, factor) if value is not None}
    if ir.DataType.INT8 in kinds:
        operator, kind = INT8, {ir.DataType.INT8, ir.DataType.FLOAT}
    elif ir.DataType.FLOAT16 in kinds:
        operator, kind = FLOAT16, {ir.DataType.FLOAT16}
    else:
        operator, kind = NAME, {ir.DataType.FLOAT}
    check(kinds <= kind, attention, "its weights and those of the networks after it have unequal types")
    return _Layer(x, mask, heads, factor, attention, ffn, operator)


def _factor(read: ir.Value, x: ir.Value, attention: ir.Node) -> ir.Value:
    """Returns the constant vector of a Mul between a layer's input and its attention."""
    mul = read.producer()
    plain = mul is not None and mul.op_type == "Mul" and mul.domain == ""
    check(plain, attention, "its input is not the stream that the networks after it add to")
    assert mul is not None
    only_reader(read, mul, "its results")
    factor = next((value for value in mul.inputs if value is not x), None)
    array = constant(factor)
    check(x in mul.inputs, mul, "it does not read the stream that the networks after it add to")
    check(array is not None and array.ndim == 1, mul, "it does not multiply by a constant vector")
    assert factor is not None
    return factor


def _follows(layer: _Layer, last: _Layer) -> bool:
    """Returns whether a layer can be in the run of the one before it."""
    y = last.ffn.outputs[0]
    read = layer.attention.inputs[0]
    first = layer.attention if layer.factor is None or read is None else read.producer()
    same = (layer.x, layer.mask, layer.heads, layer.operator) == (y, last.mask, last.heads, last.operator)
    return same and not y.is_graph_output() and {use.node for use in y.uses()} == {first, layer.ffn}


def _registered(
    model: ir.Model, name: str, attention: ir.Function, ffn: ir.Function, factors: Sequence[int]
) -> ir.Function:
    """Returns the model's function of this signature, which is added, as an overload where the name is taken."""
    taken = [function for (domain, known, _), function in model.functions.items() if (domain, known) == (DOMAIN, name)]
    overload = str(len(taken) + 1) if taken else ""
    function = encoder(name, attention, ffn, factors, overload)
    for known in taken:
        if [value.name for value in known.inputs] == [value.name for value in function.inputs]:
            return known
    if overload:
        model.ir_version = max(model.ir_version, OVERLOADS_SINCE)
    model.functions[function.identifier()] = function
    return function
