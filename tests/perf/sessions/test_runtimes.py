"""What runs models: by name, each loaded only when asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest

import perf
from perf.errors import PerfError
from perf.providers import CPU
from perf.sessions.runtimes import (
    ONNXRUNTIME,
    OPENVINO,
    OPENVINO_BF16,
    OPENVINO_F32,
    onnxruntime_session,
    runtime_named,
)

HERE = Path(perf.__file__).parent


def test_a_runtime_is_the_module_of_its_name() -> None:
    assert runtime_named(ONNXRUNTIME) is onnxruntime_session


def test_one_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "perf.sessions.runtimes.openvino_session", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(PerfError, match=r"openvino is not installed here; pip install openvino"):
        runtime_named(OPENVINO)


@pytest.mark.parametrize(("name", "hint"), [(OPENVINO, None), (OPENVINO_F32, "f32"), (OPENVINO_BF16, "bf16")])
def test_openvino_computes_floats_as_the_runtime_is_named(
    name: str, hint: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = MagicMock(__version__="2026.4.1-1")
    monkeypatch.delitem(sys.modules, "perf.sessions.runtimes.openvino_session", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", openvino)
    (tmp_path / "a.xml").touch()
    runtime_named(name).open_session(tmp_path / "a.xml", CPU, 3)
    _, _, settings = openvino.Core().compile_model.call_args.args
    assert settings["INFERENCE_NUM_THREADS"] == 3
    assert settings.get("INFERENCE_PRECISION_HINT") == hint
    monkeypatch.delitem(sys.modules, "perf.sessions.runtimes.openvino_session")


def test_a_bench_of_onnxruntime_loads_no_other() -> None:
    code = "import sys, perf.harness; print([name for name in sys.modules if name.startswith('openvino')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
