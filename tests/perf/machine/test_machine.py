"""Metadata: complete, and silent about who and where."""

from __future__ import annotations

import getpass
import json
import platform
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import count

import onnxruntime as ort
import pytest

from perf.machine import machine as host


def test_machine_names_the_hardware() -> None:
    found = host.machine()
    assert found.cpu
    assert found.logical_cores is not None
    assert 1 <= found.available_cores <= found.logical_cores
    assert found.memory_bytes > 2**27


def test_software() -> None:
    found = host.software()
    assert (found.python, found.onnxruntime) == (platform.python_version(), ort.__version__)


def test_nothing_personal() -> None:
    text = json.dumps([asdict(host.machine()), asdict(host.software())])
    assert "/home/" not in text
    for private in (platform.node(), getpass.getuser()):
        assert f'"{private}"' not in text


def test_build_flags_with_folders_are_left_out() -> None:
    info = "ORT Build Info: git-branch=HEAD, git-commit-id=fab30a4, build type=Release, cmake cxx flags: -I/home/ann/x"
    assert host._build(info) == "git-commit-id=fab30a4, build type=Release"


def test_cpu_of_proc_cpuinfo() -> None:
    cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor\t: 1\n"
    assert host._cpu_model(cpuinfo) == "Some CPU @ 2 GHz"
    assert host._cpu_features(cpuinfo) == ("avx2", "avx512_vnni")
    assert host._cpu_features("Features\t: fp asimddp i8mm\n") == ("asimddp", "i8mm")


def test_date_is_utc() -> None:
    assert datetime.fromisoformat(host.now()).utcoffset() == timedelta(0)


def test_cores_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, used = count(0, 10), count(100, 15)
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    monkeypatch.setattr(host, "_other_cpu_seconds", lambda: next(used))
    assert host.OthersWatch().cores() == 1.5
