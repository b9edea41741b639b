"""TensorRT: NVIDIA's GPUs, compiled for."""

from perf.providers.provider import Needs, Provider

TENSORRT = Provider(
    name="tensorrt",
    ort_name="TensorrtExecutionProvider",
    runs_on="NVIDIA's GPUs",
    package="onnxruntime-gpu, and TensorRT",
    how="pip install onnxruntime-gpu, and NVIDIA's TensorRT libraries.",
    needs=Needs(precisions=("fp32", "fp16")),
)
