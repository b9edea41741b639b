"""Precision of any graph, from its operators and tensor types."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

# Operators of 8 or fewer bits, and parts of the names of others; all in lower case.
QUANTIZED = (
    *("matmulinteger", "matmulintegertofloat", "matmulnbits", "matmulbnb4", "matmulfpq4", "convinteger"),
    *("qattention", "qgemm", "qembedlayernormalization"),
)
TELLING = ("quantize", "qlinear", "qordered")

HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)

# Operators that only move numbers, on the way from a weight to the product that reads it.
MOVING = ("Transpose", "Reshape", "Identity", "Cast", "Unsqueeze", "Squeeze")
# Operators that look up rows.
LOOKUPS = ("Gather", "GatherElements", "GatherND")


def precision_of(model: ir.Model) -> str:
    """Returns `int8` if a node or tensor is quantized, `fp16` if a tensor has half precision, else `fp32`."""
    if any(_is_quantized(node) for node in _nodes(model)):
        return "int8"
    return "fp16" if has_halves(model) else "fp32"


def has_halves(model: ir.Model) -> bool:
    """Returns whether a constant, an input, an output, or what a Cast or Constant writes has half precision."""
    values = [*model.graph.inputs, *model.graph.outputs]
    values += [value for graph in model.graphs() for value in graph.initializers.values()]
    values += [output for node in _nodes(model) for output in node.outputs]
    casts = [node.attributes.get_int("to", 0) for node in _nodes(model) if node.op_type == "Cast"]
    return any(kind in HALVES for kind in (*(value.dtype for value in values), *casts))


def quantized_operators(model: ir.Model) -> list[str]:
    """Returns the operator types that compute in 8 or fewer bits, sorted; an empty list for a graph of floats.

    A table that is only looked up, and dequantized before or after, is stored in 8 bits, and nothing is computed in
    them: its DequantizeLinear does not count.
    """
    return sorted({node.op_type for node in _nodes(model) if _is_quantized(node) and not _is_table(node)})


def _nodes(model: ir.Model) -> Iterator[ir.Node]:
    for graph in model.graphs():
        yield from graph
    for function in model.functions.values():
        yield from function


def _is_quantized(node: ir.Node) -> bool:
    name = node.op_type.lower()
    return name in QUANTIZED or any(part in name for part in TELLING)


def _is_table(node: ir.Node) -> bool:
    """Returns whether a DequantizeLinear is of a constant, or of its rows, and no product reads all of it."""
    x = node.inputs[0] if node.op_type == "DequantizeLinear" else None
    producer = None if x is None else x.producer()
    if producer is not None and producer.op_type in LOOKUPS:
        return _is_constant(producer.inputs[0])
    if not _is_constant(x):
        return False
    waiting = [node.outputs[0]]
    while waiting:
        for reader in waiting.pop().consumers():
            if reader.op_type in MOVING:
                waiting += reader.outputs[:1]
            elif reader.op_type not in LOOKUPS:
                return False
    return True


def _is_constant(value: ir.Value | None) -> bool:
    return value is not None and ir.convenience.get_const_tensor(value) is not None
