"""OpenVINO inside onnxruntime: Intel's CPUs, GPUs and NPUs."""

import platform

from perf.providers.provider import Needs, Provider

# There are wheels for these alone.
HAS_WHEELS = (platform.system(), platform.machine()) in {("Linux", "x86_64"), ("Windows", "AMD64")}

OPENVINO = Provider(
    name="openvino",
    ort_name="OpenVINOExecutionProvider",
    runs_on="Intel's CPUs, GPUs and NPUs",
    package="onnxruntime-openvino",
    how="pip install onnxruntime-openvino, in an environment without plain onnxruntime.",
    needs=Needs(precisions=("fp32", "fp16", "int8")),
    # In place of plain onnxruntime, which has the same module.
    environment=("onnxruntime-openvino==1.24.1", "numpy", "psutil") if HAS_WHEELS else (),
)
