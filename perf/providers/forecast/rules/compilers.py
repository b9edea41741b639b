"""Rules of providers that compile parts of a graph: TensorRT and OpenVINO, from their lists of operators.

Read in onnx-tensorrt's docs/operators.md (TensorRT 8.4, the newest in onnxruntime's docs) and in
onnxruntime's docs/execution-providers/OpenVINO-ExecutionProvider.md (its column for CPUs). The lists hold only
operators of language models.
"""

from __future__ import annotations

from perf.providers.forecast.rules.rules import Rules, plainly

COMMON = """
    Abs Add And Cast Ceil Clip Concat Constant ConstantOfShape Cos CumSum DequantizeLinear Div Einsum Elu Equal Erf
    Exp Expand Flatten Floor Gather GatherND Gemm Greater GreaterOrEqual Identity If LeakyRelu Less LessOrEqual Log
    MatMul Max Mean Min Mul Neg Not Or PRelu Pad Pow QuantizeLinear Range ReduceL2 ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum Relu Reshape Round ScatterElements ScatterND Shape Sigmoid Sign Sin Size Slice Softmax
    Softplus Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Unsqueeze Where Xor
"""

TENSORRT = Rules(
    name="TensorRT",
    source="onnx-tensorrt's published operators (docs/operators.md, TensorRT 8.4)",
    operators=plainly(*COMMON.split(), "GatherElements", "IsNaN"),
)
OPENVINO = Rules(
    name="OpenVINO",
    source="onnxruntime's published operators of OpenVINO (its documentation, 1.2x)",
    operators=plainly(*COMMON.split(), "MatMulInteger", "Mod", "OneHot", "QLinearMatMul", "Reciprocal"),
)
