"""Prints the emulated processors and qemu's plugin interfaces as command-line options of an instruction counter."""

from __future__ import annotations

from perf.devices.emulated.emulator import INTERFACES
from perf.devices.emulated.processors import PROCESSORS


def options() -> list[str]:
    """Returns `--processor ISA=CPU` options, an instruction set's preferred CPU first, and `--interface N` options."""
    pairs = [f"{one.instruction_set}={model}" for one in PROCESSORS for model in one.models]
    found = [word for pair in pairs for word in ("--processor", pair)]
    return found + [word for interface in INTERFACES for word in ("--interface", str(interface))]


if __name__ == "__main__":
    print(*options())
