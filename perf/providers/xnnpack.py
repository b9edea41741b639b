"""XNNPACK: CPUs of phones."""

from perf.providers.provider import Needs, Provider

XNNPACK = Provider(
    name="xnnpack",
    ort_name="XnnpackExecutionProvider",
    runs_on="CPUs of phones",
    package="onnxruntime-android, onnxruntime-c (iOS)",
    how="It is in onnxruntime's Android and iOS packages, in no wheel.",
    needs=Needs(target="mobile", fixed_shapes=True, inputs="int32"),
)
