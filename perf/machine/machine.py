"""Machine and software of a measurement; without host names, user names and paths."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime as ort
import psutil

from perf.machine.emulation import is_emulated

DECIDING_FEATURES = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm", "sve")
"""Instruction sets, as Linux spells them, on which the choice of onnxruntime's matrix kernels depends."""


@dataclass(frozen=True)
class Machine:
    """A machine: frequencies in MHz, memory in bytes; None if the system does not report the value.

    `is_emulated`: programs are translated for another processor, which makes times meaningless.
    """

    cpu: str
    cpu_features: tuple[str, ...]
    architecture: str
    physical_cores: int | None
    logical_cores: int | None
    affinity: tuple[int, ...] | None
    frequency_mhz: float | None
    governor: str | None
    load_average: tuple[float, float, float] | None
    memory_bytes: int
    os: str
    is_emulated: bool = False

    @property
    def available_cores(self) -> int:
        """The logical cores that this process may use."""
        return len(self.affinity) if self.affinity else self.logical_cores or 1


@dataclass(frozen=True)
class Software:
    """Versions of Python and the packages that the measurement depends on."""

    python: str
    onnxruntime: str
    onnxruntime_build: str
    numpy: str


def machine() -> Machine:
    """Returns the state of the machine; the load averages are of 1, 5 and 15 minutes."""
    cpuinfo = _read("/proc/cpuinfo") or ""
    return Machine(
        cpu=_cpu_model(cpuinfo),
        cpu_features=_cpu_features(cpuinfo),
        architecture=platform.machine(),
        physical_cores=psutil.cpu_count(logical=False),
        logical_cores=psutil.cpu_count(),
        affinity=_affinity(),
        frequency_mhz=_frequency_mhz(),
        governor=_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        load_average=_load_average(),
        memory_bytes=psutil.virtual_memory().total,
        os=platform.platform(),
        is_emulated=is_emulated(),
    )


class OthersWatch:
    """Measures the CPU time that other programs use, from its creation on."""

    def __init__(self) -> None:
        self._start = time.monotonic(), _other_cpu_seconds()

    def cores(self) -> float:
        """Returns the average CPU time of other programs since then, in cores; time stolen by a hypervisor included."""
        then, used = self._start
        return max(0.0, round((_other_cpu_seconds() - used) / (time.monotonic() - then), 3))


def software() -> Software:
    """Returns the versions in this process."""
    return Software(platform.python_version(), ort.__version__, _build(ort.get_build_info()), np.__version__)


def now() -> str:
    """Returns the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _cpu_model(cpuinfo: str) -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    if found:
        return found[1].strip()
    if sys.platform == "darwin":
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine()


def _cpu_features(cpuinfo: str) -> tuple[str, ...]:
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    present = set(found[1].split()) if found else set()
    return tuple(feature for feature in DECIDING_FEATURES if feature in present)


def _affinity() -> tuple[int, ...] | None:
    process = psutil.Process()
    # macOS has no affinity, and psutil no method for it.
    return tuple(sorted(process.cpu_affinity())) if hasattr(process, "cpu_affinity") else None


def _frequency_mhz() -> float | None:
    try:
        frequency = psutil.cpu_freq()
    except (AttributeError, NotImplementedError, OSError):  # what psutil raises differs from system to system
        return None
    return round(frequency.current, 1) if frequency else None


def _load_average() -> tuple[float, float, float] | None:
    if not hasattr(os, "getloadavg"):  # psutil's own on Windows is 0 for the first seconds
        return None
    one, five, fifteen = os.getloadavg()
    return round(one, 2), round(five, 2), round(fifteen, 2)


def _build(info: str) -> str:
    """Returns commit and build type only: compiler flags of a private build may contain paths."""
    parts = re.findall(r"git-commit-id=[0-9a-f]+|build type=\w+", info)
    return ", ".join(parts) or "unknown"


def _other_cpu_seconds() -> float:
    """Returns the CPU time of all processes except this one and its children, running or ended."""
    everyone, process = psutil.cpu_times(), psutil.Process()
    busy = ("user", "nice", "system", "irq", "softirq", "steal", "interrupt", "dpc")
    own = process.cpu_times()
    family = [own, *(child.cpu_times() for child in process.children(recursive=True))]
    ours = sum(one.user + one.system for one in family) + own.children_user + own.children_system
    return sum(getattr(everyone, kind, 0.0) for kind in busy) - ours


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
