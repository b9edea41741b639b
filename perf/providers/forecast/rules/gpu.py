"""Rules of providers that run single nodes on a GPU: CUDA, DirectML, WebGPU.

Read in onnxruntime's docs/OperatorKernels.md (CUDA, DirectML) and in docs/webgpu-operators.md of npm's package
onnxruntime-web 1.24 (WebGPU). The lists hold only operators of language models. The rule that WebGPU leaves Shape and
casts of int64 to the CPU was observed in its plugin 0.4.
"""

from __future__ import annotations

import onnx_ir as ir

from perf.providers.forecast.checks import Check, Refusal, reads
from perf.providers.forecast.rules.rules import Rules, plainly

SIZES_OF = ("Shape", "Size")

COMMON = """
    Abs Add Cast Ceil Clip Concat Cos CumSum DequantizeLinear Div Einsum Elu Equal Erf Exp Expand Flatten Floor
    Gather GatherElements GatherND Gemm Greater GreaterOrEqual If LayerNormalization LeakyRelu Less LessOrEqual Log
    MatMul Mul Neg Not Pad Pow Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape ScatterND
    Shape Sigmoid Sin Slice Softmax Split Sqrt Squeeze Sub Tanh Tile Transpose Unsqueeze Where
"""
MICROSOFTS = "Attention BiasAdd FastGelu Gelu MatMulNBits MultiHeadAttention QuickGelu SkipLayerNormalization"


def _left_to_the_cpu(_: ir.Node) -> Refusal | None:
    return Refusal("computes sizes, which onnxruntime leaves to the CPU")


def _not_of_sizes(node: ir.Node) -> Refusal | None:
    return _left_to_the_cpu(node) if _computes_sizes(node) else None


def _computes_sizes(node: ir.Node) -> bool:
    """Returns whether all inputs are computed from the sizes of other tensors."""
    if node.op_type in SIZES_OF or node.outputs[0].dtype is not ir.DataType.INT64:
        return False
    read = [value for value in node.inputs if value is not None and not value.is_initializer()]
    producers = [value.producer() for value in read]
    return bool(producers) and all(
        producer is not None and (producer.op_type in SIZES_OF or _computes_sizes(producer)) for producer in producers
    )


def _rules(name: str, source: str, more: dict[str, Check]) -> Rules:
    operators = plainly(*COMMON.split(), *(f"com.microsoft.{kind}" for kind in MICROSOFTS.split())) | more
    return Rules(name, f"onnxruntime's published rules for {name} ({source})", operators, first=_not_of_sizes)


BESIDES = ("And", "ConstantOfShape", "Identity", "IsNaN", "Or", "QuantizeLinear")
MICROSOFTS_BESIDES = ("com.microsoft.BiasGelu", "com.microsoft.FusedMatMul")

CUDA = _rules(
    "CUDA",
    "docs/OperatorKernels.md, 1.2x",
    {**plainly(*BESIDES, *MICROSOFTS_BESIDES, "Gelu"), "MatMulInteger": reads(ir.DataType.INT8)},
)
DML = _rules(
    "DirectML",
    "docs/OperatorKernels.md, 1.2x",
    plainly(
        *BESIDES,
        *MICROSOFTS_BESIDES,
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "com.microsoft.DynamicQuantizeMatMul",
        "com.microsoft.MatMulIntegerToFloat",
    ),
)
WEBGPU = _rules(
    "WebGPU",
    "docs/webgpu-operators.md of onnxruntime-web 1.24",
    {
        **plainly("Gelu"),
        "Cast": reads(ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.INT32, ir.DataType.UINT32, ir.DataType.BOOL),
        "Shape": _left_to_the_cpu,
    },
)
