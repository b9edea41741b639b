"""What runs models: by name, each loaded only when asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import perf
from perf.errors import PerfError
from perf.sessions.runtimes import ONNXRUNTIME, OPENVINO, onnxruntime_session, runtime_named

HERE = Path(perf.__file__).parent


def test_a_runtime_is_the_module_of_its_name() -> None:
    assert runtime_named(ONNXRUNTIME) is onnxruntime_session


def test_one_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "perf.sessions.runtimes.openvino_session", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(PerfError, match=r"openvino is not installed here; pip install openvino"):
        runtime_named(OPENVINO)


def test_a_bench_of_onnxruntime_loads_no_other() -> None:
    code = "import sys, perf.harness; print([name for name in sys.modules if name.startswith('openvino')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
