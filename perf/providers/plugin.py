"""Providers that are plugins: registers their library with onnxruntime and lists their devices."""

from __future__ import annotations

import importlib.util
from importlib import import_module
from typing import Any

import onnxruntime as ort

from perf.errors import PerfError, one_line
from perf.providers.provider import Provider

LOG_ERRORS_ONLY = 3
"""onnxruntime's severity 3: its warnings would be printed between the lines of a report."""

_registered: set[str] = set()


def is_installed(provider: Provider) -> bool:
    """Returns whether the provider is a plugin whose package is installed."""
    return provider.plugin is not None and importlib.util.find_spec(provider.plugin) is not None


def devices(provider: Provider) -> list[Any]:
    """Returns the first device of an installed plugin; its library stays registered until the process ends.

    Raises PerfError for a library that onnxruntime does not load, or that finds no device.
    """
    assert provider.plugin is not None
    if provider.ort_name not in _registered:
        try:
            ort.set_default_logger_severity(LOG_ERRORS_ONLY)
            library = import_module(provider.plugin).get_library_path()
            ort.register_execution_provider_library(provider.ort_name, library)
        except Exception as error:  # onnxruntime's derive from Exception; a package may raise anything
            raise PerfError(
                f"onnxruntime {ort.__version__} does not take {provider.package}: {one_line(error)}"
            ) from None
        _registered.add(provider.ort_name)
    found = [device for device in ort.get_ep_devices() if device.ep_name == provider.ort_name]
    if not found:
        raise PerfError(f"{provider.package} finds no device here. {provider.how}")
    return found[:1]


def imitation(provider: Provider) -> str:
    """Returns the simulator that stands in for the device of a usable provider; empty for the device itself."""
    if provider.imitates or not is_installed(provider):
        return provider.imitates
    is_software = all(one.device.type == ort.OrtHardwareDeviceType.CPU for one in devices(provider))
    return "a GPU in software" if is_software else ""
