"""CUDA: NVIDIA's GPUs."""

from perf.providers.provider import Needs, Provider

CUDA = Provider(
    name="cuda",
    ort_name="CUDAExecutionProvider",
    runs_on="NVIDIA's GPUs",
    package="onnxruntime-gpu",
    how="pip install onnxruntime-gpu, without plain onnxruntime.",
    needs=Needs(precisions=("fp32", "fp16")),
)
