"""QNN: the neural processor of Qualcomm's chips, HTP; or, on Linux on x86-64, Qualcomm's simulator of it."""

import platform

from perf.providers.provider import Needs, Provider

SIMULATED = (platform.system(), platform.machine()) == ("Linux", "x86_64")

# A Snapdragon 8 Gen 2; without a chip's number, the simulator refuses MobileBERT.
CHIP = {"soc_model": "43"} if SIMULATED else {}

QNN = Provider(
    name="qnn",
    ort_name="QNNExecutionProvider",
    runs_on="Qualcomm's neural processors",
    package="onnxruntime-qnn",
    how="pip install 'mbert-onnx[qnn]'; its wheel for Linux on x86-64 holds Qualcomm's simulator.",
    needs=Needs(target="mobile", fixed_shapes=True, inputs="int32"),
    options={"backend_type": "htp", **CHIP},
    plugin="onnxruntime_qnn",
    imitates="Qualcomm's simulator of the processor" if SIMULATED else "",
)
