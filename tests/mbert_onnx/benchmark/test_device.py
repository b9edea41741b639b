"""`bench` on this machine: the device sets the native kernels of each model, as `--kernels` or its name asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from exported_checkpoints import Exports
from perf_models import token_model

from mbert_onnx import UsageError, bench
from mbert_onnx.benchmark.device import find_device
from mbert_onnx.runtime.native_kernels import kernels
from perf.machine.footprint import Footprint
from perf.timing import description

SHORT: dict[str, Any] = {"seq_lens": [4], "threads": [1], "budget": 0.01, "precision": 0.5}

needs_kernels = pytest.mark.skipif(kernels().library is None, reason="this installation has no native kernels")


@pytest.fixture(autouse=True)
def no_load_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load time and memory are constants: measuring them starts a process for each model."""
    monkeypatch.setattr(description, "footprint", lambda *_, **__: Footprint((1.0,), 1.0, 1))


@needs_kernels
def test_kernels_are_set_by_option_and_by_name(exported: Exports, tmp_path: Path) -> None:
    bundle, plain = str(exported(precision="int8", min_agreement=0.0).bundle), token_model(tmp_path / "plain.onnx")
    report = bench([bundle, f"portable:{bundle}", f"native:{plain}"], **SHORT)
    assert [subject.name for subject in report.subjects] == [bundle, f"portable:{bundle}"]
    (failure,) = report.failures
    assert failure.name == f"native:{plain}"
    assert "the native kernels compute no block of" in failure.reason
    with_kernels, without = report.subjects
    assert with_kernels.notes[-1] == f"run with the native kernels, {kernels().instruction_set}"
    assert not any("native kernels" in note for note in without.notes)
    assert sum(with_kernels.placement.nodes.values()) < sum(without.placement.nodes.values())
    with pytest.raises(UsageError, match="the native kernels compute no block of"):
        bench(f"native:{plain}", **SHORT)


def test_kernels_that_are_missing_are_an_error_before_models_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphs.kernels.library", lambda: None)
    with pytest.raises(UsageError, match="--kernels is native, and this installation has no library"):
        find_device("local", provider="cpu", kernels="native")
    assert find_device("local", provider="cpu", kernels="auto").name == "local"
    with pytest.raises(UsageError, match="--kernels is 'fast'"):
        find_device("ssh://box", provider="cpu", kernels="fast")
