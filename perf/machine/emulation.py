"""Detection of CPU emulation (Rosetta, qemu)."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

FAMILIES = {
    "x86": ("x86", "amd64", "i386", "i486", "i586", "i686", "genuineintel", "authenticamd"),
    "arm": ("aarch64", "arm"),
}
"""Prefixes of processor names by family; a 32-bit program on a 64-bit processor is not emulated."""

# Files in which the kernel reports its own processor. A user-mode emulator intercepts `uname`, and newer ones
# /proc/cpuinfo, but not these; the first exists from Linux 6.1 on.
KERNEL = ("/proc/sys/kernel/arch", "/sys/devices/system/cpu/modalias")
CPUINFO = "/proc/cpuinfo"

# Apple's Rosetta: the command prints 1 in a translated program; the vendor is what Linux sees in a virtual machine.
ROSETTA = ("sysctl", "-n", "sysctl.proc_translated")
ROSETTA_VENDOR = "VirtualApple"


def is_emulated() -> bool:
    """Returns whether programs are translated for another processor, which makes times meaningless.

    An emulated whole machine cannot be distinguished from a real one.
    """
    if sys.platform == "darwin":
        printed = subprocess.run(ROSETTA, capture_output=True, text=True, check=False)
        return printed.stdout.strip() == "1"
    cpuinfo = _read(CPUINFO)
    vendors = [line.partition(":")[2] for line in cpuinfo.splitlines() if line.startswith("vendor_id")][:1]
    return ROSETTA_VENDOR in cpuinfo or differ(platform.machine(), *map(_read, KERNEL), *vendors)


def differ(machine: str, *reported: str) -> bool:
    """Returns whether a name that the kernel reports is of another processor family than `machine` (of `uname -m`).

    Names of unknown families are ignored.
    """
    own = _family(machine)
    return own is not None and any(family not in (None, own) for family in map(_family, reported))


def _family(text: str) -> str | None:
    # Such as "x86_64", "cpu:type:x86,ven0000fam0006", "cpu:type:aarch64:feature:", "GenuineIntel".
    name = text.strip().lower().removeprefix("cpu:type:")
    return next((family for family, starts in FAMILIES.items() if name.startswith(starts)), None)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
