"""Published rules of the providers that not every machine has."""

from __future__ import annotations

from perf.providers import Provider
from perf.providers.forecast.rules.compilers import OPENVINO, TENSORRT
from perf.providers.forecast.rules.coreml import NETWORK, PROGRAM, PROGRAM_OPTION
from perf.providers.forecast.rules.gpu import CUDA, DML, WEBGPU
from perf.providers.forecast.rules.nnapi import NNAPI
from perf.providers.forecast.rules.qnn import QNN
from perf.providers.forecast.rules.rules import Rules
from perf.providers.forecast.rules.xnnpack import XNNPACK

__all__ = ["Rules", "rules_of"]

AZURE = Rules("Azure", "onnxruntime's source, 1.2x: core/providers/azure", {})
"""It runs only its own operators, which call a server."""

PUBLISHED = {
    "azure": (AZURE,),
    "coreml": (NETWORK, PROGRAM),
    "cuda": (CUDA,),
    "dml": (DML,),
    "nnapi": (NNAPI,),
    "openvino": (OPENVINO,),
    "qnn": (QNN,),
    "tensorrt": (TENSORRT,),
    "webgpu": (WEBGPU,),
    "xnnpack": (XNNPACK,),
}


def rules_of(provider: Provider) -> tuple[Rules, ...]:
    """Returns a provider's rules: first those for its own options, then those for other options.

    The CPU providers have none, because every onnxruntime has them and they can be queried.
    """
    known = PUBLISHED.get(provider.name, ())
    name, _, value = PROGRAM_OPTION.partition("=")
    return known[::-1] if provider.options.get(name) == value else known
