"""Execution providers: the table of known ones, and which of them this machine has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import onnxruntime as ort

from perf.errors import PerfError, PerfUsageError
from perf.providers.known import CPU, KNOWN, NATIVE
from perf.providers.plugin import devices, imitation, is_installed
from perf.providers.provider import Needs, Provider

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


@dataclass(frozen=True)
class Standing:
    """A provider's availability on this machine.

    Args:
        provider: The provider.
        usable: Whether a session can be opened on it.
        why_not: If not, the reason, and how to get it.
        imitation: The simulator that stands in for its device; empty for the device itself.
        elsewhere: Whether it runs in a Python environment of its own, created at its first use.
    """

    provider: Provider
    usable: bool
    why_not: str = ""
    imitation: str = ""
    elsewhere: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Returns the provider's fields and these, for JSON."""
        fields = asdict(self)
        return {**fields.pop("provider"), **fields}


def standing(provider: Provider) -> Standing:
    """Returns a provider's availability. Loads the library of a plugin to find out."""
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
    """Returns whether this onnxruntime was built with the provider, or its plugin is installed."""
    return provider.ort_name in ort.get_available_providers() or is_installed(provider)


def available() -> list[Provider]:
    """Returns the known providers that can be used: installed here, or in an environment of their own."""
    return [provider for provider in KNOWN if is_here(provider) or provider.environment]


def named(name: str) -> Provider:
    """Returns the known provider of a short name ("cpu") or onnxruntime's ("CPUExecutionProvider"), in any case.

    Raises PerfUsageError for an unknown name.
    """
    wanted = name.strip().lower()
    found = next((provider for provider in KNOWN if wanted in (provider.name, provider.ort_name.lower())), None)
    if found is None:
        known = ", ".join(provider.name for provider in KNOWN)
        raise PerfUsageError(f"unknown provider {name!r}; known are {known}; available here: {_here()}")
    return found


def resolve(name: str) -> Provider:
    """Returns the provider of a name, as `named` takes it, if it can be used here.

    Raises:
        PerfUsageError: an unknown name, or neither this onnxruntime nor a plugin has the provider.
    """
    found = named(name)
    if found not in available():
        raise PerfUsageError(
            f"provider {found.name!r} is not in this onnxruntime {ort.__version__}, which has {_here()}. {found.how}"
        )
    return found


def _here() -> str:
    return ", ".join(provider.name for provider in available())
