"""The CPU, which every onnxruntime has."""

from perf.providers.provider import Provider

CPU = Provider(
    name="cpu",
    ort_name="CPUExecutionProvider",
    runs_on="the CPU",
    package="onnxruntime",
    how="It is part of every onnxruntime.",
)
