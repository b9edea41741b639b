"""Models that `bench` builds before it times them: tools' rewrites, our exports, and other tools' exports."""

from __future__ import annotations

import re
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from exported_checkpoints import Exports
from small_checkpoints import save_small
from third_party_exports import export_with_torchscript

from mbert_onnx import bench
from mbert_onnx.benchmark.models.builder import ModelBuilder
from mbert_onnx.errors import UsageError
from perf.errors import PerfError
from perf.machine import footprint

SHORT: dict[str, Any] = {"threads": [1], "budget": 0.1}


@pytest.fixture
def one_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further load is a process that imports onnxruntime."""
    monkeypatch.setattr(footprint, "LOADS", 1)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peers")
    model = save_small(folder / "model")
    export_with_torchscript(model, folder / "model.onnx", ("start_logits", "end_logits"))
    return folder / "model.onnx"


def test_rewrites_of_a_file_are_timed_beside_ours(file: Path) -> None:
    models = [str(file), *(f"{tool}:{file}" for tool in ("ort-transformers", "onnxslim", "optimized"))]
    progress: list[str] = []
    report = bench(models, seq_lens=[4], threads=[1], budget=0.1, progress=progress.append)
    assert [subject.name for subject in report.subjects] == models
    nodes = [sum(subject.placement.nodes.values()) for subject in report.subjects]
    assert nodes[3] < min(nodes[:3])  # ours fuses nodes that the others leave
    assert all(subject.difference is not None and subject.difference < 1e-3 for subject in report.subjects[1:])
    assert f"optimized:{file}: optimizing" in progress


def test_a_tool_that_is_not_installed_is_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxslim", None)
    with pytest.raises(PerfError, match="pip install onnxslim"):
        bench(f"onnxslim:{file}", seq_lens=[4], threads=[1], budget=0.1)


@pytest.mark.parametrize(
    ("tool", "function"),
    [
        ("onnxslim", "onnxslim.slim"),
        ("ort-transformers", "onnxruntime.transformers.optimizer.optimize_model"),
        ("ort-dynamic", "onnxruntime.quantization.quantize_dynamic"),
    ],
)
def test_a_failure_of_a_tool_is_an_error_of_one_line(
    tool: str, function: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no\nmodel")

    monkeypatch.setattr(function, fail)
    with pytest.raises(PerfError, match=r"fails on model\.onnx: no( model)?$"):
        bench(f"{tool}:{file}", seq_lens=[4], threads=[1], budget=0.1)


@pytest.mark.usefixtures("one_load")
@pytest.mark.full
def test_dynamic_quantization_is_compared_with_its_float_model(file: Path) -> None:
    models = [f"ort-dynamic:{file}", str(file), f"ort-dynamic:optimized:{file}"]
    folder = sorted(file.parent.iterdir())
    report = bench(models, seq_lens=[4, 16], **SHORT)
    quantized, given, again = report.subjects
    assert quantized.error is not None
    assert 1e-3 < quantized.error < 1
    assert report.error_seq_len == 16
    assert given.error is None
    assert again.error is not None
    assert 1e-3 < again.error < 1
    assert quantized.file.size_bytes < given.file.size_bytes
    assert quantized.placement.operators["CPUExecutionProvider"]["DynamicQuantizeLinear"] > 0
    assert quantized.notes == (
        "quantize_dynamic with its defaults: per_channel False, reduce_range False, weight_type QInt8",
    )
    assert sorted(file.parent.iterdir()) == folder  # no file is left beside the user's


@pytest.mark.usefixtures("one_load")
@pytest.mark.full
@pytest.mark.parametrize(("precision", "low", "high"), [("int8", 1e-2, 1.0), ("fp16", 1e-6, 2e-2)])
def test_ours_at_a_lower_precision(precision: str, low: float, high: float, exported: Exports) -> None:
    report = bench(f"{precision}:{exported().checkpoint}", seq_lens=[4], **SHORT)
    (lower,) = report.subjects
    assert lower.error is not None
    assert low < lower.error < high
    assert re.search(r"\d % of \d+ decisions equal to float64's", lower.notes[0])


@pytest.mark.full
@pytest.mark.usefixtures("one_load")
def test_ours_for_phones_has_a_file_for_each_length(exported: Exports) -> None:
    checkpoint = exported().checkpoint
    report = bench([str(exported().bundle), f"mobile:{checkpoint}"], seq_lens=[4, 8], batch=2, **SHORT)
    _, mobile = report.subjects
    assert [cell.seq_len for cell in report.cells] == [4, 8]
    assert mobile.difference is not None
    assert mobile.difference < 1e-4
    assert mobile.error is None
    assert mobile.notes == ("has a file of its own for each length; the one for 8 tokens stands in the table",)


def model_builder(stack: ExitStack, **changes: Any) -> ModelBuilder:
    options: dict[str, Any] = {"task": None, "seed": 0, "seq_lens": None, "batch": 1, "kernels": "portable"}
    options |= {"progress": None} | changes
    return ModelBuilder(stack, **options)


@pytest.mark.parametrize(
    ("name", "target", "precision"),
    [
        ("fp16", "cpu", "fp16"),
        ("int8", "cpu", "int8"),
        ("mobile", "mobile", "fp32"),
        ("mobile-fp16", "mobile", "fp16"),
        ("mobile-int8", "mobile", "int8"),
    ],
)
def test_prefixes_of_our_exports(
    name: str, target: str, precision: str, exported: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []
    verdict = SimpleNamespace(
        agreement=0.5, decisions=16, cosines=None, error=0.25, texts=12, calibration="some sentences"
    )

    def export(checkpoint: str, output: Path, **options: Any) -> SimpleNamespace:
        calls.append({"checkpoint": checkpoint, **options})
        shutil.copytree(exported().bundle, output)
        return SimpleNamespace(model=output / "onnx" / "model.onnx", verdict=verdict)

    monkeypatch.setattr("mbert_onnx.conversion.exporter.export", export)
    with ExitStack() as stack:
        subject = model_builder(stack, seq_lens=[16, 4], batch=3, seed=7).subject(f"{name}:random:tiny")
        assert all(path.is_file() for path in subject.files)
    lower = [options for options in calls if options.get("target") == target]
    assert {options["checkpoint"] for options in calls} == {"random:tiny"}
    assert {(options["precision"], options["seed"]) for options in lower} == {(precision, 7)}
    lengths = [4, 16] if target == "mobile" else [None]
    assert [(options["seq_len"], options["batch"]) for options in lower] == [(n, n and 3) for n in lengths]
    assert list(subject.by_length) == [n for n in lengths if n]
    assert (subject.reference is None) == (precision == "fp32")
    assert len(subject.notes) == (0 if precision == "fp32" else len(lengths))
    assert all(
        "50.0 % of 16 decisions equal to float64's, centred error 2.5e-01, on 12 held-out texts of some sentences"
        in note
        for note in subject.notes
    )


def test_an_environment_that_cannot_be_created_is_an_error(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MBERT_ONNX_CACHE", str(tmp_path))
    monkeypatch.setattr("perf.peers.openvino.PACKAGES", (str(tmp_path / "none.whl"),))
    with pytest.raises(PerfError, match=r"cannot create the environment for openvino \(.*none\.whl"):
        bench(f"openvino:{file}", seq_lens=[4], **SHORT)


def test_a_file_without_a_tokenizer_cannot_be_calibrated(file: Path) -> None:
    with pytest.raises(UsageError, match=r"openvino-int8:.*model\.onnx is calibrated on texts.*no tokenizer"):
        bench(f"openvino-int8:{file}", **SHORT)


@pytest.mark.usefixtures("one_load")
def test_a_model_that_cannot_be_built_is_a_failure_and_the_others_are_timed(file: Path, tmp_path: Path) -> None:
    report = bench([str(tmp_path / "none.onnx"), str(file), f"openvino-int8:{file}"], seq_lens=[4], **SHORT)
    assert [item.name for item in report.subjects] == [str(file)]
    assert [item.name for item in report.failures] == [str(tmp_path / "none.onnx"), f"openvino-int8:{file}"]
    assert "does not exist" in report.failures[0].reason


@pytest.mark.usefixtures("one_load")
@pytest.mark.full
def test_torch_is_timed_in_a_process_of_its_own(exported: Exports) -> None:
    report = bench([str(exported().bundle), f"torch:{exported().checkpoint}"], seq_lens=[4], profile=True, **SHORT)
    ours, theirs = report.subjects
    assert theirs.runtime.startswith("torch")
    assert theirs.difference is not None
    assert theirs.difference < 1e-4
    assert [item.precision for item in report.subjects] == ["float32", "float32"]
    assert ours.macs[4] > 0
    assert ours.blocks[0].ms["FFN"] + ours.blocks[0].ms["encoder"] > 0
    assert theirs.blocks == ()
    assert report.peaks[0].gmacs["float32"] > 0


def test_a_file_with_a_colon_is_a_file(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(file, tmp_path / "int8:x.onnx")
    with ExitStack() as stack:
        assert model_builder(stack).subject("int8:x.onnx").path == Path("int8:x.onnx")
