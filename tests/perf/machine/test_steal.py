"""Steal time, from a /proc/stat that the tests write."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from perf.machine.steal import StealWatch


def write_stat(folder: Path, stolen_ticks: int) -> None:
    """Writes the line of all processors; the eighth number is the steal time."""
    (folder / "stat").write_text(
        f"cpu  500 20 300 9000 40 0 7 {stolen_ticks} 11 3\ncpu0 500 20 300 9000 40 0 7 1 0 0\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/stat")
@pytest.mark.parametrize(("stolen_s", "cores"), [(0.0, 0.0), (0.02, 0.0), (0.5, 0.25), (3.0, 1.5)])
def test_steal_time_of_proc_stat(
    stolen_s: float, cores: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.02 s are too few of the kernel's steps for a share."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    seconds = iter([10.0, 12.0])
    write_stat(tmp_path, 700)
    watch = StealWatch(lambda: next(seconds))
    write_stat(tmp_path, 700 + round(stolen_s * os.sysconf("SC_CLK_TCK")))
    assert watch.cores() == cores


def test_a_system_without_steal_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(user=1.0, system=1.0, idle=1.0))
    assert StealWatch().cores() == 0.0
