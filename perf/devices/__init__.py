"""Devices: this machine, or another one that is reached by ssh."""

from __future__ import annotations

from collections.abc import Callable

from perf.devices.device import EMULATED, Device, Program
from perf.devices.local import LOCAL, LocalDevice
from perf.devices.ssh import SshDevice
from perf.devices.ssh_address import FORM, SCHEME
from perf.errors import PerfUsageError
from perf.results.report import Report

__all__ = ["EMULATED", "KNOWN", "LOCAL", "Device", "device_named"]

KNOWN = (LOCAL, FORM)
"""The devices that time models."""


def device_named(text: str, local: LocalDevice, program: Callable[[], Program]) -> Device[Report]:
    """Returns the device that `--device` names; `with` connects to it.

    Args:
        text: One of `KNOWN`.
        local: This machine, for "local".
        program: Returns the program that runs jobs on another machine.

    Raises PerfUsageError for another name.
    """
    if text == local.name:
        return local
    if text.partition(":")[0] == SCHEME:
        return SshDevice(text, program())
    if text == EMULATED:
        raise PerfUsageError(
            f"device {EMULATED} counts instructions and times nothing; expected {' or '.join(KNOWN)}: call "
            "bench_emulated"
        )
    raise PerfUsageError(f"unknown device {text!r}; expected {', '.join(KNOWN)} or {EMULATED}")
