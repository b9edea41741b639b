"""Core ML: Apple's CPUs, GPUs and neural engine."""

from perf.providers.provider import Needs, Provider

COREML = Provider(
    name="coreml",
    ort_name="CoreMLExecutionProvider",
    runs_on="Apple's CPUs, GPUs and neural engine",
    package="onnxruntime on macOS",
    how="pip install onnxruntime on macOS.",
    needs=Needs(target="mobile", fixed_shapes=True, inputs="int32", precisions=("fp32", "fp16")),
)
