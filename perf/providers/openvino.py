"""OpenVINO inside onnxruntime: Intel's CPUs, GPUs and NPUs."""

from perf.providers.provider import Needs, Provider

OPENVINO = Provider(
    name="openvino",
    ort_name="OpenVINOExecutionProvider",
    runs_on="Intel's CPUs, GPUs and NPUs",
    package="onnxruntime-openvino",
    how="pip install onnxruntime-openvino, in an environment without plain onnxruntime.",
    needs=Needs(precisions=("fp32", "fp16", "int8")),
)
