"""Rules of QNN: Qualcomm's neural processor, HTP; all sizes fixed.

Read in onnxruntime's source, 1.2x: core/providers/qnn/builder/op_builder_factory.cc and opbuilder/gemm_op_builder.cc.
The rules that HTP does not gather rows of 8 bits, and slices only at constants, were observed in Qualcomm's simulator.
Its plugin 2.7 also takes a Gemm with a matrix as its third input, which that source refuses.
"""

from __future__ import annotations

import onnx_ir as ir

from perf.providers.forecast.checks import Refusal, constant, every, fixed_sizes, plain_gemm, vector_bias
from perf.providers.forecast.rules.rules import Rules, plainly

EIGHT_BITS = (ir.DataType.INT8, ir.DataType.UINT8)

OPERATORS = """
    Abs Add And ArgMax ArgMin Asin Atan AveragePool BatchNormalization Cast Ceil Clip Concat Conv ConvTranspose Cos
    CumSum DepthToSpace DequantizeLinear Div Einsum Elu Equal Exp Expand Flatten Floor Gather GatherElements
    GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample HardSigmoid HardSwish
    InstanceNormalization LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization
    MatMul Max MaxPool Mean Min Mod Mul Neg Not Or PRelu Pad Pow QuantizeLinear RMSNormalization RandomUniformLike
    Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Resize Round STFT
    ScatterElements ScatterND Sigmoid Sign Sin Slice Softmax SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh
    ThresholdedRelu Tile TopK Transpose Unsqueeze Upsample Where
"""
MICROSOFTS = ("DequantizeLinear", "FusedMatMul", "QuantizeLinear")


def _float_rows(node: ir.Node) -> Refusal | None:
    """Refuses a table of 8-bit rows without a DequantizeLinear before it."""
    table = node.inputs[0]
    if table is None or table.dtype not in EIGHT_BITS:
        return None
    return Refusal("looks up rows of 8 bits, which the processor does not")


def _wide(node: ir.Node) -> Refusal | None:
    value = node.inputs[0]
    if value is None or value.dtype not in EIGHT_BITS:
        return None
    return Refusal("casts from 8 bits, which the processor does not")


QNN = Rules(
    name="QNN",
    source="onnxruntime's published rules for QNN (its source, 1.2x)",
    operators={
        **plainly(*OPERATORS.split(), *(f"com.microsoft.{name}" for name in MICROSOFTS)),
        "Gemm": every(plain_gemm, vector_bias(row=True)),
        "Gather": _float_rows,
        "Cast": _wide,
        "Slice": constant(1, 2, 3, 4),
    },
    first=fixed_sizes,
)
