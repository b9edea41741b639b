"""Whether this machine is emulated: its processor is another one than programs are told."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

FAMILIES = {
    "x86": ("x86", "amd64", "i386", "i486", "i586", "i686", "genuineintel", "authenticamd"),
    "arm": ("aarch64", "arm"),
}
"""How processors of one family are called; 32 bits on a processor of 64 are no emulation."""

# What of the kernel tells its own processor. An emulator of programs answers `uname`, and newer ones /proc/cpuinfo,
# but not these; the first is there from Linux 6.1 on.
KERNEL = ("/proc/sys/kernel/arch", "/sys/devices/system/cpu/modalias")
CPUINFO = "/proc/cpuinfo"

# Of Apple's Rosetta: 1 in a program that it translates; and the vendor that it shows to Linux in a virtual machine.
ROSETTA = ("sysctl", "-n", "sysctl.proc_translated")
ROSETTA_VENDOR = "VirtualApple"


def is_emulated() -> bool:
    """Whether programs are translated for another processor, so that milliseconds measure nothing.

    A whole machine that is emulated cannot be told from a real one.
    """
    if sys.platform == "darwin":
        told = subprocess.run(ROSETTA, capture_output=True, text=True, check=False)
        return told.stdout.strip() == "1"
    cpuinfo = _read(CPUINFO)
    vendors = [line.partition(":")[2] for line in cpuinfo.splitlines() if line.startswith("vendor_id")][:1]
    return ROSETTA_VENDOR in cpuinfo or differ(platform.machine(), *map(_read, KERNEL), *vendors)


def differ(machine: str, *told: str) -> bool:
    """Whether anything that a kernel tells is of another family than a machine, as `uname -m` names it.

    What is of no known family counts for nothing.
    """
    own = _family(machine)
    return own is not None and any(family not in (None, own) for family in map(_family, told))


def _family(text: str) -> str | None:
    # Such as "x86_64", "cpu:type:x86,ven0000fam0006", "cpu:type:aarch64:feature:", "GenuineIntel".
    name = text.strip().lower().removeprefix("cpu:type:")
    return next((family for family, starts in FAMILIES.items() if name.startswith(starts)), None)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
