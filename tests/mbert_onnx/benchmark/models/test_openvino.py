"""`openvino:`, its variants and `optimum-PRESET:`, in environments of their own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_checkpoints import Exports

from mbert_onnx import bench
from mbert_onnx.errors import UsageError
from perf.errors import PerfError
from perf.machine import footprint
from perf.peers import openvino

for package in ("openvino", "nncf"):
    pytest.importorskip(package, reason=f"{package} is not installed here; `make test-peers` runs these")

pytestmark = pytest.mark.xdist_group("openvino")  # one process installs its environment

SHORT: dict[str, Any] = {"threads": [1], "budget": 0.1}


@pytest.fixture(autouse=True)
def one_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further load is a process that imports OpenVINO."""
    monkeypatch.setattr(footprint, "LOADS", 1)


def test_it_is_quantized_once_and_timed_with_dynamic_and_with_fixed_shapes(
    exported: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrated: list[int] = []
    quantize = openvino.quantize_for_openvino

    def spy(source: Path, output: Path, feeds: Any, tell: Any) -> str:
        calibrated.append(len(feeds))
        return quantize(source, output, feeds, tell)

    monkeypatch.setattr(openvino, "quantize_for_openvino", spy)
    peer = f"transformers:{exported().checkpoint}"
    models = [peer, f"openvino-int8:{peer}", f"openvino-int8-fixed:{peer}"]
    report = bench(models, seq_lens=[4, 8], **SHORT)
    source, dynamic, fixed = report.subjects
    assert len(calibrated) == 1
    assert calibrated[0] >= 8
    assert source.error is None
    for item in (dynamic, fixed):
        assert item.runtime.startswith("OpenVINO")
        assert item.error is not None
        assert 1e-3 < item.error < np.inf  # on so small a model it varies between processors
        assert item.difference is not None  # the outputs have the same names
        assert item.file.size_bytes < source.file.size_bytes
        assert f"calibrated on {calibrated[0]} texts" in item.notes[0]
    assert "a file of its own for each length" in fixed.notes[-1]
    assert len(dynamic.notes) == 1


@pytest.mark.full
def test_an_export_for_phones_is_quantized_for_each_length(exported: Exports) -> None:
    name = f"mobile:{exported().checkpoint}"
    report = bench([name, f"openvino-int8:{name}", f"openvino-int8-fixed:{name}"], seq_lens=[12, 16], **SHORT)
    assert all(item.error is not None and item.error < 1 for item in report.subjects[1:])
    assert all("a file of its own for each length" in item.notes[-1] for item in report.subjects)


def test_a_model_without_a_tokenizer_cannot_be_calibrated(exported: Exports, tmp_path: Path) -> None:
    shutil.copytree(exported().bundle, tmp_path / "bundle")
    (tmp_path / "bundle" / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match="no tokenizer to read them with"):
        bench(f"openvino-int8:{tmp_path / 'bundle'}", seq_lens=[4], **SHORT)


def test_functions_that_openvino_does_not_read_are_an_error(exported: Exports) -> None:
    with pytest.raises(PerfError, match=r"^OpenVINO 20.* cannot load .*model\.onnx: .*Encoder") as caught:
        bench(f"openvino:{exported().bundle}", seq_lens=[4], **SHORT)
    assert "\n" not in str(caught.value)


def test_a_failure_of_nncf_is_an_error_of_one_line(exported: Exports) -> None:
    with pytest.raises(PerfError, match=r"^NNCF fails on model\.onnx with exit 1: .+") as caught:
        bench(f"openvino-int8:{exported().bundle}", seq_lens=[4], **SHORT)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "floats"), [("openvino", "f32"), ("openvino-fixed", "f32"), ("openvino-bf16", "bf16")]
)
def test_floats_have_the_precision_of_the_prefix(name: str, floats: str, exported: Exports) -> None:
    peer = f"transformers:{exported().checkpoint}"
    _, found = bench([peer, f"{name}:{peer}"], seq_lens=[4, 8], **SHORT).subjects
    assert found.precision == "float32"
    assert found.difference is not None
    # A processor without bfloat16 computes it in float32.
    assert f"floats as {floats}" in found.runtime or floats == "bf16"
    assert found.difference < (1e-4 if floats == "f32" else 0.5)
    assert any("a file of its own for each length" in note for note in found.notes) == name.endswith("fixed")


def test_optimum_quantizes_by_its_presets(exported: Exports) -> None:
    peer = f"transformers:{exported().checkpoint}"
    report = bench([peer, f"optimum-avx512_vnni:{peer}", f"optimum-tensorrt:{peer}"], seq_lens=[4], **SHORT)
    _, quantized = report.subjects
    assert quantized.precision == "int8"
    assert quantized.error is not None
    assert 1e-3 < quantized.error < 1
    assert quantized.notes[0].startswith("optimum's preset avx512_vnni: weights_dtype ")
    (failure,) = report.failures  # static, and for another provider
    assert failure.reason.startswith("optimum's tensorrt fails on model.onnx with exit 1: ")


def test_openvino_as_a_provider_runs_in_an_environment_of_its_own(exported: Exports) -> None:
    report = bench(str(exported().bundle), provider="openvino", seq_lens=[4], **SHORT)
    (found,) = report.subjects
    assert found.placement.nodes.keys() == {"OpenVINOExecutionProvider"}
    assert found.placement.partitions == {"OpenVINOExecutionProvider": 1}
    assert found.runtime == "onnxruntime 1.24.1"
    assert found.cpu_difference is not None
    assert found.cpu_difference < 0.05  # where a processor has bfloat16, floats are computed in it
    assert not [text for text in report.warnings if "fell back" in text]
