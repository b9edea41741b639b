"""Providers that come as plugins, as `bench` uses them, on what imitates their devices: `make test-providers`."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from exported_checkpoints import Exports
from text_files import OTHER, QUESTION, TextFile, run_text
from typer.testing import CliRunner

import mbert_onnx
from graphs.functions.text_file.detach import without_text
from graphs.functions.text_file.options import MODEL_OUTPUTS
from mbert_onnx.cli.application import app
from perf.machine import footprint
from perf.providers import named, plugin
from perf.providers.forecast import forecast
from perf.providers.known import QNN

SHORT: dict[str, Any] = {"threads": [1], "budget": 0.1}
# Vulkan in software, as Debian's packages chromium and mesa-vulkan-drivers bring it.
IN_SOFTWARE = [
    Path("/usr/lib/chromium/vk_swiftshader_icd.json"),
    *sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json")),
]
VULKAN = os.environ.get("VK_ICD_FILENAMES") or next((str(file) for file in IN_SOFTWARE if file.is_file()), None)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "LOADS", 1)


@pytest.fixture
def _webgpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("onnxruntime_ep_webgpu") is None:
        pytest.skip("onnxruntime-ep-webgpu is not installed here; `make test-providers` runs these")
    if VULKAN is None or ctypes.util.find_library("vulkan") is None:
        pytest.skip("there is no Vulkan in software: Debian has libvulkan1, and chromium's SwiftShader")
    monkeypatch.setenv("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", "1")
    monkeypatch.setenv("VK_ICD_FILENAMES", VULKAN)


@pytest.fixture
def _qnn() -> None:
    if importlib.util.find_spec("onnxruntime_qnn") is None:
        pytest.skip("onnxruntime-qnn is not installed here; `make test-providers` runs these")


@pytest.mark.usefixtures("_webgpu")
def test_webgpu_says_what_the_cpu_says(exported: Exports) -> None:
    report = mbert_onnx.bench(str(exported().bundle), provider="webgpu", seq_lens=[8, 12], **SHORT)
    (found,) = report.subjects
    assert found.cpu_difference is not None
    assert 0 <= found.cpu_difference < 1e-4
    taken = found.placement.operators["WebGpuExecutionProvider"]
    assert {"MatMul", "Softmax"} <= set(taken)
    assert found.placement.partitions == {}  # it runs node after node
    assert not any("kernels" in note for note in found.notes)  # which would take blocks away, to the CPU
    assert report.warnings[0].startswith("webgpu is a GPU in software here: its milliseconds are no measurement of the")


@pytest.mark.usefixtures("_qnn")
def test_our_files_for_phones_are_one_partition_on_qnn(exported: Exports) -> None:
    models = [f"mobile:{exported().checkpoint}", str(exported().bundle)]
    report = mbert_onnx.bench(models, provider="qnn", seq_lens=[8], **SHORT)
    mobile, dynamic = report.subjects
    assert list(mobile.placement.operators) == ["QNNExecutionProvider"]
    assert mobile.placement.partitions == {"QNNExecutionProvider": 1}
    assert mobile.cpu_difference is not None
    assert 1e-6 < mobile.cpu_difference < 3e-2  # half precision
    assert dynamic.placement.nodes["CPUExecutionProvider"] > 0
    told = "\n".join(report.warnings)
    assert "qnn is Qualcomm's simulator of the processor here" in told
    assert f"{mobile.name}: " not in told
    assert "fell back to the CPU: " in told
    assert "mbert-onnx export --target mobile --seq-len N" in told


@pytest.mark.usefixtures("_qnn")
@pytest.mark.parametrize(
    ("task", "precision"),
    [*((task, "fp32") for task in MODEL_OUTPUTS), ("question-answering", "fp16"), ("question-answering", "int8")],
)
def test_of_a_text_file_the_model_is_one_partition_on_qnn_and_nothing_else(
    exported: Exports, tmp_path: Path, task: str, precision: str
) -> None:
    lower = {} if precision == "fp32" else {"precision": precision, "min_agreement": 0}
    text_model = TextFile(exported(task, target="mobile", seq_len=16, **lower).bundle).file
    ir.save(text_model, tmp_path / "model_text.onnx")
    ir.save(without_text(text_model), tmp_path / "model.onnx")
    whole, model = (forecast(tmp_path / name, named("qnn")) for name in ("model_text.onnx", "model.onnx"))
    assert whole.asked
    assert (whole.taken, whole.partitions) == (model.taken, 1)


@pytest.mark.usefixtures("_qnn")
def test_a_text_file_on_qnn_says_what_it_says_on_the_cpu(exported: Exports) -> None:
    file = TextFile(exported("multiple-choice", target="mobile", seq_len=16).bundle)
    options = onnxruntime.SessionOptions()
    options.add_provider_for_devices(plugin.devices(QNN), dict(QNN.options))
    session = onnxruntime.InferenceSession(ir.to_proto(file.file).SerializeToString(), options)
    choices = OTHER.split()[:3]
    found = run_text(session, QUESTION, 16, choices=choices)
    np.testing.assert_allclose(found["scores"], file.run(QUESTION, 16, choices=choices)["scores"], atol=3e-2)


@pytest.mark.usefixtures("_qnn", "_webgpu")
def test_both_are_listed_as_usable() -> None:
    here = {item.provider.name: item for item in mbert_onnx.providers()}
    assert here["qnn"].usable
    assert here["qnn"].imitation == "Qualcomm's simulator of the processor"
    assert here["webgpu"].usable
    assert here["webgpu"].imitation == "a GPU in software"


@pytest.mark.usefixtures("_webgpu")
def test_the_kernels_are_for_the_cpu(exported: Exports) -> None:
    options = ["--provider", "webgpu", "--kernels", "native", "--seq-len", "8"]
    found = CliRunner().invoke(app, ["bench", str(exported().bundle), *options])
    assert found.exit_code == 2
    assert "expected cpu, which they are for, or auto" in found.stderr
