"""Rules of XNNPACK: kernels for matrix products and softmax; the CPU provider runs the rest of a MobileBERT.

Read in onnxruntime's source, 1.2x: core/providers/xnnpack/math/gemm.cc, matmul.cc and softmax.cc, and
core/providers/xnnpack/detail/node_support_checker.cc; its page docs/execution-providers/Xnnpack-ExecutionProvider.md.
"""

from __future__ import annotations

import onnx_ir as ir

from perf.providers.forecast.checks import (
    FIX_SIZES,
    FLOAT,
    HALF,
    Refusal,
    constant,
    constant_bias,
    dimensions,
    every,
    plain_gemm,
    reads,
    sizes,
    vector_bias,
)
from perf.providers.forecast.rules.rules import Rules, plainly


def _has_bias(node: ir.Node) -> Refusal | None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        return None
    return Refusal("has no third input, and only a Gemm with one is taken")


def _by_matrix(node: ir.Node) -> Refusal | None:
    """Requires [M, K] or [batch, M, K] times [K, N]."""
    left, right = (None if value is None else sizes(value) for value in node.inputs)
    if left is None or right is None or (len(right) <= 2 and len(left) - len(right) in (0, 1)):
        return None
    return Refusal(f"multiplies {len(left)} by {len(right)} dimensions, and only 2 or 3 by 2 are taken")


def _last_axis(node: ir.Node) -> Refusal | None:
    value = node.inputs[0]
    known = None if value is None else sizes(value)
    if not known:
        return Refusal("an input has sizes that are not fixed", FIX_SIZES)
    if node.attributes.get_int("axis", -1) not in (-1, len(known) - 1):
        return Refusal("is over another axis than the last, which alone is taken")
    return None if known[-1] is not None else Refusal("its last size is not fixed", FIX_SIZES)


XNNPACK = Rules(
    name="XNNPACK",
    source="onnxruntime's published rules for XNNPACK (its source, 1.2x)",
    operators={
        "Gemm": every(
            reads(FLOAT), plain_gemm, constant(1), dimensions(2), _has_bias, constant_bias, vector_bias(row=False)
        ),
        "MatMul": every(reads(FLOAT), _by_matrix, constant(1)),
        "Softmax": every(reads(FLOAT, HALF), _last_axis),
        # Operators of image models, which a MobileBERT does not have; their conditions are not checked.
        **plainly("AveragePool", "Conv", "ConvTranspose", "MaxPool", "Resize"),
    },
    notes=("XNNPACK runs on the CPU and uses its memory: nodes left to the CPU cost no copy",),
)
