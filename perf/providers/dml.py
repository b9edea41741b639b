"""DirectML: GPUs on Windows."""

from perf.providers.provider import Needs, Provider

DML = Provider(
    name="dml",
    ort_name="DmlExecutionProvider",
    runs_on="GPUs on Windows",
    package="onnxruntime-directml",
    how="pip install onnxruntime-directml on Windows, without plain onnxruntime.",
    needs=Needs(precisions=("fp32", "fp16")),
)
