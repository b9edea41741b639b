"""Rules of NNAPI: fixed sizes, float32, at most four dimensions.

The operators are those of the table in onnxruntime's wheel; their conditions were read in its source, 1.2x:
core/providers/nnapi/nnapi_builtin/builders/impl/ (base_op_builder.cc, gemm_, gather_, cast_, concat_, slice_, softmax_,
split_, transpose_op_builder.cc). The rules are those of the newest Android
API level. Nodes inside QuantizeLinear and DequantizeLinear are checked one by one, not as a quantized group.
"""

from __future__ import annotations

import onnx_ir as ir
import onnxruntime as ort

from perf.providers.forecast.checks import (
    FLOAT,
    INT32_IDS,
    Check,
    Refusal,
    at_most,
    constant,
    dimensions,
    every,
    fixed_sizes,
    is_constant,
    left_as_it_is,
    plain_gemm,
    reads,
    sizes,
    vector_bias,
)
from perf.providers.forecast.rules.rules import Rules
from perf.providers.forecast.rules.tables import operators_in

MOST_DIMENSIONS = 4


def _product(node: ir.Node) -> Refusal | None:
    """Requires two matrices, the second constant, or two stacks of matrices with equal batch dimensions."""
    left, right = (None if value is None else sizes(value) for value in node.inputs)
    if left is None or right is None:
        return None
    if len(left) == len(right) == 2:
        return constant(1)(node)
    if len(left) != len(right) or left[:-2] != right[:-2]:
        return Refusal("multiplies stacks of matrices whose sizes in front differ, which is not taken")
    return None


def _known_weight(node: ir.Node) -> Refusal | None:
    return None if node.attributes.get_int("transB", 0) else constant(1)(node)


def _indices(node: ir.Node) -> Refusal | None:
    indices = node.inputs[1]
    if indices is None or is_constant(indices) or indices.dtype in (None, ir.DataType.INT32):
        return None
    return Refusal("looks up ids of another type than int32, which alone is taken", INT32_IDS)


def _target(node: ir.Node) -> Refusal | None:
    kind = ir.DataType(node.attributes.get_int("to", FLOAT.value))
    if kind in (FLOAT, ir.DataType.INT32):
        return None
    return Refusal("casts to another type than float32 and int32, which alone are taken")


def _even(node: ir.Node) -> Refusal | None:
    split = node.inputs[1] if len(node.inputs) > 1 else None
    if split is None or split.const_value is None or len(set(split.const_value.numpy().tolist())) == 1:
        return None
    return Refusal("splits unevenly, which is not taken")


def _one_scale(node: ir.Node) -> Refusal | None:
    scale = node.inputs[1]
    if scale is None or scale.const_value is None or scale.const_value.size == 1:
        return None
    return Refusal("has a scale for each channel, and only one for all is taken")


CONDITIONS: dict[str, Check] = {
    "Gemm": every(reads(FLOAT), plain_gemm, left_as_it_is, dimensions(2), _known_weight, vector_bias(row=True)),
    "MatMul": every(reads(FLOAT), _product),
    "Gather": every(reads(FLOAT), _indices),
    "Cast": every(reads(FLOAT), _target),
    "Softmax": every(reads(FLOAT), dimensions(2, 4)),
    "Split": every(reads(FLOAT), constant(1), _even),
    "Concat": reads(FLOAT, ir.DataType.UINT8),
    "Transpose": reads(FLOAT, ir.DataType.UINT8),
    "Slice": every(reads(FLOAT), constant(1, 2, 3, 4)),
    "Reshape": every(reads(FLOAT), constant(1)),
    "Squeeze": every(reads(FLOAT), constant(1)),
    "Unsqueeze": every(reads(FLOAT), constant(1)),
    "Pad": every(reads(FLOAT), constant(1, 2)),
    "QuantizeLinear": every(reads(FLOAT), constant(1, 2), _one_scale),
    "DequantizeLinear": every(reads(ir.DataType.UINT8), constant(1, 2), _one_scale),
}

NNAPI = Rules(
    name="NNAPI",
    source=f"onnxruntime's published rules for NNAPI (the table in its wheel {ort.__version__}; its source, 1.2x)",
    operators={name: CONDITIONS.get(name, reads(FLOAT)) for name in operators_in("nnapi_supported_ops.md")},
    first=every(fixed_sizes, at_most(MOST_DIMENSIONS)),
)
