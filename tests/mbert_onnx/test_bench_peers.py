"""What can be made of a model before it is timed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from foreign_exports import export_with_torchscript
from small_checkpoints import save_small

from mbert_onnx import bench
from perf.errors import PerfError


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peers")
    model = save_small(folder / "model")
    export_with_torchscript(model, folder / "model.onnx", ("start_logits", "end_logits"))
    return folder / "model.onnx"


def test_what_others_make_of_a_file_is_timed_beside_ours(file: Path) -> None:
    models = [str(file), *(f"{tool}:{file}" for tool in ("ort-transformers", "onnxslim", "optimized"))]
    told: list[str] = []
    report = bench(models, seq_lens=[4], threads=[1], budget=0.1, progress=told.append)
    assert [subject.name for subject in report.subjects] == models
    nodes = [sum(subject.placement.nodes.values()) for subject in report.subjects]
    assert nodes[3] < min(nodes[:3])  # ours finds something in it
    assert all(subject.difference is not None and subject.difference < 1e-3 for subject in report.subjects[1:])
    assert f"optimized:{file}: optimizing" in told


def test_a_tool_that_is_not_installed_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxslim", None)
    with pytest.raises(PerfError, match="pip install onnxslim"):
        bench(f"onnxslim:{file}", seq_lens=[4], threads=[1], budget=0.1)


@pytest.mark.parametrize(
    ("tool", "function"),
    [("onnxslim", "onnxslim.slim"), ("ort-transformers", "onnxruntime.transformers.optimizer.optimize_model")],
)
def test_a_file_that_a_tool_cannot_take_is_told(
    tool: str, function: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no\nmodel")

    monkeypatch.setattr(function, fail)
    with pytest.raises(PerfError, match=r"fails on model\.onnx: no$"):
        bench(f"{tool}:{file}", seq_lens=[4], threads=[1], budget=0.1)
