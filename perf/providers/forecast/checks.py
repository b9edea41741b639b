"""Checks: conditions on a node, each of which returns a refusal with the reason, or None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

FIX_SIZES = "write every size into the model: mbert-onnx export CHECKPOINT --target mobile --seq-len N"
CONSTANT_BIAS = (
    "keep residuals out of Gemm's third input, as the pass separate_residual does: mbert-onnx export or optimize "
    "--target mobile"
)
INT32_IDS = "take the ids as int32: mbert-onnx export CHECKPOINT --target mobile --seq-len N"
NO_DYNAMIC_INT8 = (
    "choose quantization steps beforehand (--target mobile --precision int8), or stay in float (--precision fp32): "
    "int8 with steps that are found at run time is for the CPU"
)
FLOAT32 = "stay in float32: mbert-onnx export CHECKPOINT --precision fp32"

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16


@dataclass(frozen=True)
class Refusal:
    """The reason why a node is left to the CPU, and advice; `help` is empty if there is none."""

    reason: str
    help: str = ""


Check = Callable[[ir.Node], Refusal | None]


def always(_: ir.Node) -> Refusal | None:
    """Never refuses."""
    return None


def every(*checks: Check) -> Check:
    """Combines checks: returns the first refusal."""

    def check(node: ir.Node) -> Refusal | None:
        return next((refusal for one in checks if (refusal := one(node)) is not None), None)

    return check


def is_constant(value: ir.Value | None) -> bool:
    """Returns whether a value is a weight."""
    return value is not None and value.is_initializer() and not value.is_graph_input()


def sizes(value: ir.Value) -> list[int | None] | None:
    """Returns the sizes of a value, None for a dynamic one; None if its rank is unknown."""
    shape = value.shape if value.const_value is None else value.const_value.shape
    return None if shape is None else [size if isinstance(size, int) else None for size in shape]


def fixed_sizes(node: ir.Node) -> Refusal | None:
    """Requires that all inputs have fixed sizes."""
    for value in node.inputs:
        known = [] if value is None else sizes(value)
        if known is None or None in known:
            return Refusal("an input has sizes that are not fixed", FIX_SIZES)
    return None


def reads(*types: ir.DataType, of: int = 0) -> Check:
    """Requires that an input has one of these types."""

    def check(node: ir.Node) -> Refusal | None:
        value = _input(node, of)
        if value is None or value.dtype is None or value.dtype in types:
            return None
        wanted = " or ".join(_spelled(kind) for kind in types)
        helps = FLOAT32 if value.dtype is HALF else ""
        return Refusal(f"reads {_spelled(value.dtype)}, and only {wanted} is taken", helps)

    return check


def constant(*which: int) -> Check:
    """Requires that these inputs, if present, are weights."""

    def check(node: ir.Node) -> Refusal | None:
        for index in which:
            value = _input(node, index)
            if value is not None and not is_constant(value):
                return Refusal(f"input {index + 1} is computed, and only a constant is taken")
        return None

    return check


def dimensions(*counts: int, of: int = 0) -> Check:
    """Requires that an input has one of these numbers of dimensions."""

    def check(node: ir.Node) -> Refusal | None:
        value = _input(node, of)
        found = None if value is None else sizes(value)
        if found is None or len(found) in counts:
            return None
        return Refusal(f"reads {len(found)} dimensions, and only {_listed(counts)} are taken")

    return check


def at_most(count: int) -> Check:
    """Requires that no input has more dimensions."""

    def check(node: ir.Node) -> Refusal | None:
        most = max((len(sizes(value) or ()) for value in node.inputs if value is not None), default=0)
        return None if most <= count else Refusal(f"reads {most} dimensions, and at most {count} are taken")

    return check


def plain_gemm(node: ir.Node) -> Refusal | None:
    """Requires a Gemm with alpha = beta = 1."""
    if node.attributes.get_float("alpha", 1.0) == node.attributes.get_float("beta", 1.0) == 1.0:
        return None
    return Refusal("has a factor alpha or beta, and only 1 is taken")


def left_as_it_is(node: ir.Node) -> Refusal | None:
    """Requires a Gemm that does not transpose its first input."""
    return Refusal("transposes its first input, which is not taken") if node.attributes.get_int("transA", 0) else None


def constant_bias(node: ir.Node) -> Refusal | None:
    """Requires a Gemm with a constant third input, or none."""
    bias = _input(node, 2)
    if bias is None or is_constant(bias):
        return None
    return Refusal("adds a third input that is computed, and only a constant is taken", CONSTANT_BIAS)


def vector_bias(*, row: bool) -> Check:
    """Requires a Gemm with a third input of shape [N], or [1, N] if `row`, or with none."""

    def check(node: ir.Node) -> Refusal | None:
        bias, weight = _input(node, 2), _input(node, 1)
        found = None if bias is None else sizes(bias)
        wide = None if weight is None else sizes(weight)
        if found is None or wide is None:
            return None
        width = wide[0 if node.attributes.get_int("transB", 0) else 1]
        if found == [width] or (row and found == [1, width]):
            return None
        shapes = "[N] or [1, N]" if row else "[N]"
        return Refusal(f"adds a third input that is not of shape {shapes}", CONSTANT_BIAS)

    return check


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _spelled(kind: ir.DataType) -> str:
    return {FLOAT: "float32", HALF: "float16"}.get(kind, kind.name.lower())


def _listed(counts: Sequence[int]) -> str:
    return " or ".join(str(count) for count in counts)
