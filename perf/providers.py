"""The execution providers a person may name, and what to install where one is missing."""

from __future__ import annotations

from dataclasses import dataclass

import onnxruntime as ort

from perf.errors import PerfUsageError


@dataclass(frozen=True)
class Provider:
    """One execution provider: the name for a command line, onnxruntime's name, and a sentence on how to get it."""

    name: str
    ort_name: str
    how: str


CPU = Provider("cpu", "CPUExecutionProvider", "It is part of every onnxruntime.")

KNOWN = (
    CPU,
    Provider("azure", "AzureExecutionProvider", "It is in onnxruntime's wheels for Linux and Windows."),
    Provider(
        "openvino",
        "OpenVINOExecutionProvider",
        "pip install onnxruntime-openvino, in an environment without plain onnxruntime.",
    ),
    Provider(
        "webgpu",
        "WebGpuExecutionProvider",
        "It needs an onnxruntime built with --use_webgpu; the plugin onnxruntime-ep-webgpu is not loaded here.",
    ),
    Provider(
        "qnn",
        "QNNExecutionProvider",
        "It needs an onnxruntime built with --use_qnn; the plugin onnxruntime-qnn (2.x) is not loaded here.",
    ),
    Provider("xnnpack", "XnnpackExecutionProvider", "It is in onnxruntime's Android and iOS packages, in no wheel."),
    Provider("nnapi", "NnapiExecutionProvider", "It is in onnxruntime's Android package, in no wheel."),
    Provider("coreml", "CoreMLExecutionProvider", "pip install onnxruntime on macOS."),
    Provider("dml", "DmlExecutionProvider", "pip install onnxruntime-directml on Windows, without plain onnxruntime."),
    Provider("cuda", "CUDAExecutionProvider", "pip install onnxruntime-gpu, without plain onnxruntime."),
    Provider("tensorrt", "TensorrtExecutionProvider", "pip install onnxruntime-gpu, and NVIDIA's TensorRT libraries."),
)


def available() -> list[Provider]:
    """The known providers that this onnxruntime was built with."""
    built_in = ort.get_available_providers()
    return [provider for provider in KNOWN if provider.ort_name in built_in]


def resolve(name: str) -> Provider:
    """The provider of a short name ("cpu") or of onnxruntime's own ("CPUExecutionProvider"), in any case.

    Raises:
        PerfUsageError: nobody knows the name, or this onnxruntime was built without the provider.
    """
    wanted = name.strip().lower()
    here = ", ".join(provider.name for provider in available())
    found = next((provider for provider in KNOWN if wanted in (provider.name, provider.ort_name.lower())), None)
    if found is None:
        known = ", ".join(provider.name for provider in KNOWN)
        raise PerfUsageError(f"unknown provider {name!r}; known are {known}; available here: {here}")
    if found not in available():
        raise PerfUsageError(
            f"provider {found.name!r} is not in this onnxruntime {ort.__version__}, which has {here}. {found.how}"
        )
    return found
