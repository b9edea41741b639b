"""Which precision a graph of anybody's is in."""

from __future__ import annotations

import onnx_ir as ir

# Operators of 8 or fewer bits, and what is in the names of others; all in lower case.
QUANTIZED = ("matmulinteger", "matmulintegertofloat", "matmulnbits", "convinteger", "qattention", "qgemm")
TELLING = ("quantize", "qlinear")

HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def precision_of(model: ir.Model) -> str:
    """`int8` where something is quantized, `fp16` where something is of half precision, else `fp32`."""
    nodes = [node for graph in model.graphs() for node in graph]
    nodes += [node for function in model.functions.values() for node in function]
    names = {node.op_type.lower() for node in nodes}
    if names.intersection(QUANTIZED) or any(part in name for name in names for part in TELLING):
        return "int8"
    tensors = [value.dtype for graph in model.graphs() for value in graph.initializers.values()]
    tensors += [value.dtype for node in nodes for value in node.outputs]  # of Constant, and what is cast
    casts = [node.attributes.get_int("to", 0) for node in nodes if node.op_type == "Cast"]
    return "fp16" if any(kind in HALVES for kind in (*tensors, *casts)) else "fp32"
