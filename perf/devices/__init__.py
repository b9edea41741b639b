"""Where a bench runs: this machine, or another one that is reached from it."""

from __future__ import annotations

from perf.devices.device import Device, Program
from perf.devices.local import LOCAL, LocalDevice
from perf.devices.ssh import SshDevice
from perf.devices.ssh_address import FORM, SCHEME
from perf.errors import PerfUsageError
from perf.harness import CountMacs
from perf.outputs.measure import Measure

__all__ = ["EMULATED", "KNOWN", "LOCAL", "Device", "device_named"]

KNOWN = (LOCAL, FORM)
"""What names a device here."""

EMULATED = "emulated-arm64"
"""What is no device that times anything, and has functions of its own; named so that nobody misses it."""


def device_named(
    text: str, program: Program, measure: Measure | None = None, count_macs: CountMacs | None = None
) -> Device:
    """The device that `--device` names, which is not reached before it is entered.

    Args:
        text: One of `KNOWN`.
        program: What does jobs on another machine.
        measure, count_macs: Those of `perf.harness.bench`, for jobs that are done here.

    Raises PerfUsageError for another name.
    """
    if text == LOCAL:
        return LocalDevice(measure, count_macs)
    if text.partition(":")[0] == SCHEME:
        return SshDevice(text, program)
    raise PerfUsageError(f"unknown device {text!r}; expected {', '.join(KNOWN)} or {EMULATED}")
