"""The table of execution providers that `--provider` accepts."""

from __future__ import annotations

import platform

from perf.providers.provider import Needs, Provider

_PLATFORM = (platform.system(), platform.machine())

# onnxruntime-openvino has wheels for these platforms only.
HAS_OPENVINO_WHEELS = _PLATFORM in {("Linux", "x86_64"), ("Windows", "AMD64")}

# onnxruntime-qnn's wheel for this platform holds Qualcomm's simulator of the processor.
IS_QNN_SIMULATED = _PLATFORM == ("Linux", "x86_64")

# A Snapdragon 8 Gen 2; without a chip's number, the simulator refuses MobileBERT.
QNN_CHIP = {"soc_model": "43"} if IS_QNN_SIMULATED else {}

CPU = Provider(
    name="cpu",
    ort_name="CPUExecutionProvider",
    runs_on="the CPU",
    package="onnxruntime",
    how="It is part of every onnxruntime.",
)

NATIVE = Provider(
    name="cpu+native",
    ort_name=CPU.ort_name,
    runs_on="the CPU",
    package="mbert-onnx",
    how="It is in mbert-onnx's wheels for Linux, macOS and Windows.",
    kernels=True,
)

# Models that a server runs. It takes no node of a MobileBERT, but most wheels list it.
AZURE = Provider(
    name="azure",
    ort_name="AzureExecutionProvider",
    runs_on="a server",
    package="onnxruntime",
    how="It is in onnxruntime's wheels for Linux and Windows.",
    needs=Needs(precisions=()),
)

OPENVINO = Provider(
    name="openvino",
    ort_name="OpenVINOExecutionProvider",
    runs_on="Intel's CPUs, GPUs and NPUs",
    package="onnxruntime-openvino",
    how="pip install onnxruntime-openvino, in an environment without plain onnxruntime.",
    needs=Needs(precisions=("fp32", "fp16", "int8")),
    # In place of plain onnxruntime, which has the same module.
    environment=("onnxruntime-openvino==1.24.1", "numpy", "psutil") if HAS_OPENVINO_WHEELS else (),
)

# Any GPU that Vulkan, Metal or Direct3D 12 reaches.
WEBGPU = Provider(
    name="webgpu",
    ort_name="WebGpuExecutionProvider",
    runs_on="GPUs",
    package="onnxruntime-ep-webgpu",
    how="pip install onnxruntime-ep-webgpu; where there is no GPU, ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1 and "
    "VK_ICD_FILENAMES name a Vulkan in software.",
    needs=Needs(precisions=("fp32", "fp16")),
    plugin="onnxruntime_ep_webgpu",
)

# The neural processor of Qualcomm's chips (HTP) or, on Linux on x86-64, Qualcomm's simulator of it.
QNN = Provider(
    name="qnn",
    ort_name="QNNExecutionProvider",
    runs_on="Qualcomm's neural processors",
    package="onnxruntime-qnn",
    how="pip install 'mbert-onnx[qnn]'; its wheel for Linux on x86-64 holds Qualcomm's simulator.",
    needs=Needs(target="mobile", fixed_shapes=True, inputs="int32"),
    options={"backend_type": "htp", **QNN_CHIP},
    plugin="onnxruntime_qnn",
    imitates="Qualcomm's simulator of the processor" if IS_QNN_SIMULATED else "",
)

XNNPACK = Provider(
    name="xnnpack",
    ort_name="XnnpackExecutionProvider",
    runs_on="CPUs of phones",
    package="onnxruntime-android, onnxruntime-c (iOS)",
    how="It is in onnxruntime's Android and iOS packages, in no wheel.",
    needs=Needs(target="mobile", fixed_shapes=True, inputs="int32"),
)

# Android 15 deprecates it.
NNAPI = Provider(
    name="nnapi",
    ort_name="NnapiExecutionProvider",
    runs_on="Android phones",
    package="onnxruntime-android",
    how="It is in onnxruntime's Android package, in no wheel.",
    needs=Needs(target="mobile", fixed_shapes=True, inputs="int32"),
)

COREML = Provider(
    name="coreml",
    ort_name="CoreMLExecutionProvider",
    runs_on="Apple's CPUs, GPUs and neural engine",
    package="onnxruntime on macOS",
    how="pip install onnxruntime on macOS.",
    needs=Needs(target="mobile", fixed_shapes=True, inputs="int32", precisions=("fp32", "fp16")),
)

DML = Provider(
    name="dml",
    ort_name="DmlExecutionProvider",
    runs_on="GPUs on Windows",
    package="onnxruntime-directml",
    how="pip install onnxruntime-directml on Windows, without plain onnxruntime.",
    needs=Needs(precisions=("fp32", "fp16")),
)

CUDA = Provider(
    name="cuda",
    ort_name="CUDAExecutionProvider",
    runs_on="NVIDIA's GPUs",
    package="onnxruntime-gpu",
    how="pip install onnxruntime-gpu, without plain onnxruntime.",
    needs=Needs(precisions=("fp32", "fp16")),
)

# Models compiled for NVIDIA's GPUs.
TENSORRT = Provider(
    name="tensorrt",
    ort_name="TensorrtExecutionProvider",
    runs_on="NVIDIA's GPUs",
    package="onnxruntime-gpu, and TensorRT",
    how="pip install onnxruntime-gpu, and NVIDIA's TensorRT libraries.",
    needs=Needs(precisions=("fp32", "fp16")),
)

KNOWN = (CPU, NATIVE, AZURE, OPENVINO, WEBGPU, QNN, XNNPACK, NNAPI, COREML, DML, CUDA, TENSORRT)
