"""The CPU with our native kernels for a model's blocks."""

from perf.providers.cpu import CPU
from perf.providers.provider import Provider

NATIVE = Provider(
    name="cpu+native",
    ort_name=CPU.ort_name,
    runs_on="the CPU",
    package="mbert-onnx",
    how="It is in mbert-onnx's wheels for Linux, macOS and Windows.",
    kernels=True,
)
