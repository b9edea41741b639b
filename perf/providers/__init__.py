"""The execution providers a person may name, a file each, and which of them this machine has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import onnxruntime as ort

from perf.errors import PerfError, PerfUsageError
from perf.providers.azure import AZURE
from perf.providers.coreml import COREML
from perf.providers.cpu import CPU
from perf.providers.cuda import CUDA
from perf.providers.dml import DML
from perf.providers.native import NATIVE
from perf.providers.nnapi import NNAPI
from perf.providers.openvino import OPENVINO
from perf.providers.plugin import devices, imitation, is_installed
from perf.providers.provider import Needs, Provider
from perf.providers.qnn import QNN
from perf.providers.tensorrt import TENSORRT
from perf.providers.webgpu import WEBGPU
from perf.providers.xnnpack import XNNPACK

__all__ = [
    "CPU",
    "KNOWN",
    "NATIVE",
    "Needs",
    "Provider",
    "Standing",
    "available",
    "is_here",
    "named",
    "resolve",
    "standing",
]

KNOWN = (CPU, NATIVE, AZURE, OPENVINO, WEBGPU, QNN, XNNPACK, NNAPI, COREML, DML, CUDA, TENSORRT)


@dataclass(frozen=True)
class Standing:
    """Whether a provider is usable on this machine; if not, why, and what to do; and what imitates its device.

    `elsewhere` says that it runs in an environment of its own, which is made when it is first used.
    """

    provider: Provider
    usable: bool
    why_not: str = ""
    imitation: str = ""
    elsewhere: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the provider's fields, and these."""
        told = asdict(self)
        return {**told.pop("provider"), **told}


def standing(provider: Provider) -> Standing:
    """How a provider stands here. A plugin's library is loaded to find out."""
    if not is_installed(provider):
        if is_here(provider):
            return Standing(provider, True)
        if provider.environment:
            return Standing(provider, True, elsewhere=True)
        return Standing(provider, False, f"it is not in this onnxruntime {ort.__version__}. {provider.how}")
    try:
        devices(provider)
    except PerfError as error:
        return Standing(provider, False, str(error))
    return Standing(provider, True, imitation=imitation(provider))


def is_here(provider: Provider) -> bool:
    """Whether this onnxruntime was built with it, or its plugin is installed."""
    return provider.ort_name in ort.get_available_providers() or is_installed(provider)


def available() -> list[Provider]:
    """The known providers that can be used: those that are here, and those that have an environment of their own."""
    return [provider for provider in KNOWN if is_here(provider) or provider.environment]


def named(name: str) -> Provider:
    """The known provider of a short name ("cpu") or of onnxruntime's own ("CPUExecutionProvider"), in any case.

    Raises PerfUsageError where nobody knows the name.
    """
    wanted = name.strip().lower()
    found = next((provider for provider in KNOWN if wanted in (provider.name, provider.ort_name.lower())), None)
    if found is None:
        known = ", ".join(provider.name for provider in KNOWN)
        raise PerfUsageError(f"unknown provider {name!r}; known are {known}; available here: {_here()}")
    return found


def resolve(name: str) -> Provider:
    """The provider of a name, as `named` takes it, if this onnxruntime has it.

    Raises:
        PerfUsageError: nobody knows the name, or this onnxruntime has neither the provider nor a plugin for it.
    """
    found = named(name)
    if found not in available():
        raise PerfUsageError(
            f"provider {found.name!r} is not in this onnxruntime {ort.__version__}, which has {_here()}. {found.how}"
        )
    return found


def _here() -> str:
    return ", ".join(provider.name for provider in available())
