"""Rules of Core ML: its older format, neural networks (onnxruntime's default), and its newer one, programs.

The operators are those of the tables in onnxruntime's wheel; their conditions were read in its source, 1.2x:
core/providers/coreml/builders/impl/ (cast_, gather_, gemm_, where_op_builder.cc), and the tables' own notes on
Slice, Split and Pad.
"""

from __future__ import annotations

import onnx_ir as ir
import onnxruntime as ort

from perf.providers.forecast.checks import (
    FLOAT,
    HALF,
    Check,
    Refusal,
    at_most,
    constant,
    constant_bias,
    dimensions,
    every,
    left_as_it_is,
    plain_gemm,
    reads,
    sizes,
    vector_bias,
)
from perf.providers.forecast.rules.rules import Rules
from perf.providers.forecast.rules.tables import operators_in

MOST_DIMENSIONS = 5
PROGRAM_OPTION = "ModelFormat=MLProgram"


def _after_another(node: ir.Node) -> Refusal | None:
    """Refuses a Cast of a graph input, which neither format takes."""
    if any(value is not None and value.producer() is not None for value in node.inputs):
        return None
    return Refusal("casts an input of the model, and only what a node computes is taken")


def _bias(node: ir.Node) -> Refusal | None:
    """Requires a constant bias: a scalar, [N] or [1, N]."""
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and sizes(bias) in ([], [1]):
        return constant_bias(node)
    return constant_bias(node) or vector_bias(row=True)(node)


def _conditions(*floats: ir.DataType) -> dict[str, Check]:
    return {
        "Gemm": every(reads(*floats), plain_gemm, left_as_it_is, constant(1), _bias),
        "Cast": _after_another,
        "Gather": reads(*floats, ir.DataType.INT64),
        "Slice": every(reads(*floats, ir.DataType.INT64), constant(1, 2, 3, 4)),
        "Split": every(reads(*floats), constant(1)),
        "Reshape": every(reads(*floats), constant(1)),
        "Pad": every(reads(*floats), constant(1, 2, 3)),
        "Squeeze": every(reads(*floats, ir.DataType.INT64), constant(1)),
        "Unsqueeze": every(reads(*floats, ir.DataType.INT64), constant(1)),
        "Where": every(reads(*floats, of=1), reads(*floats, of=2)),
        "Shape": reads(*floats, ir.DataType.INT32, ir.DataType.INT64),
        "And": reads(ir.DataType.BOOL),
    }


def _rules(name: str, table: str, option: str, conditions: dict[str, Check], *floats: ir.DataType) -> Rules:
    known = _conditions(*floats) | conditions
    return Rules(
        name=name,
        source=f"onnxruntime's published rules for {name} (the table in its wheel {ort.__version__}; its source, 1.2x)",
        operators={operator: known.get(operator, reads(*floats)) for operator in operators_in(table)},
        first=at_most(MOST_DIMENSIONS),
        option=option,
    )


NETWORK = _rules(
    "Core ML (neural network)",
    "coreml_supported_neuralnetwork_ops.md",
    "",
    {"MatMul": every(reads(FLOAT), constant(1), dimensions(2), dimensions(2, of=1))},
    FLOAT,
)
PROGRAM = _rules(
    "Core ML (program)",
    "coreml_supported_mlprogram_ops.md",
    PROGRAM_OPTION,
    {"MatMul": reads(FLOAT, HALF)},
    FLOAT,
    HALF,
)
