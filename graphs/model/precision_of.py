"""Precision of any graph, from its operators and tensor types."""

from __future__ import annotations

import onnx_ir as ir

# Operators of 8 or fewer bits, and parts of the names of others; all in lower case.
QUANTIZED = ("matmulinteger", "matmulintegertofloat", "matmulnbits", "convinteger", "qattention", "qgemm")
TELLING = ("quantize", "qlinear")

HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def precision_of(model: ir.Model) -> str:
    """Returns `int8` if a node or tensor is quantized, `fp16` if a tensor has half precision, else `fp32`."""
    nodes = [node for graph in model.graphs() for node in graph]
    nodes += [node for function in model.functions.values() for node in function]
    names = {node.op_type.lower() for node in nodes}
    if names.intersection(QUANTIZED) or any(part in name for name in names for part in TELLING):
        return "int8"
    tensors = [value.dtype for graph in model.graphs() for value in graph.initializers.values()]
    tensors += [value.dtype for node in nodes for value in node.outputs]  # of Constant and Cast
    casts = [node.attributes.get_int("to", 0) for node in nodes if node.op_type == "Cast"]
    return "fp16" if any(kind in HALVES for kind in (*tensors, *casts)) else "fp32"
