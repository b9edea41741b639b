"""NNAPI: whatever an Android phone has. Android 15 deprecates it."""

from perf.providers.provider import Needs, Provider

NNAPI = Provider(
    name="nnapi",
    ort_name="NnapiExecutionProvider",
    runs_on="Android phones",
    package="onnxruntime-android",
    how="It is in onnxruntime's Android package, in no wheel.",
    needs=Needs(target="mobile", fixed_shapes=True, inputs="int32"),
)
