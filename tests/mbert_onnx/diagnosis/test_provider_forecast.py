"""`doctor --provider`: what providers would take of checkpoints, bundles and anybody's files, and what helps."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import onnx_ir as ir
import pytest
from exported_checkpoints import Exports
from small_checkpoints import save_small
from text_files import TextFile
from third_party_exports import export_with_torch_export

import perf.providers.forecast
from graphs.errors import GraphError
from mbert_onnx.cli.printing.diagnosis import print_forecasts
from mbert_onnx.diagnosis import provider_forecast as forecasting
from mbert_onnx.diagnosis.provider_forecast import ALL, ProviderDiagnosis, doctor_provider
from mbert_onnx.errors import BundleError, CheckpointError
from mbert_onnx.runtime.native_kernels import AUTO, library_for
from perf.errors import PerfUsageError
from perf.providers import CPU, KNOWN, Standing, named, standing
from perf.providers.forecast import Graph, forecast, read_graph
from perf.providers.forecast.result import Forecast

MOBILE = "qnn,nnapi,coreml,xnnpack"


@pytest.fixture
def _by_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """No provider but the CPU can be asked, whatever is installed here."""
    monkeypatch.setattr(perf.providers.forecast, "standing", lambda item: Standing(item, item.ort_name == CPU.ort_name))


def by_name(found: list[ProviderDiagnosis]) -> dict[str, ProviderDiagnosis]:
    return {one.forecast.provider: one for one in found}


def left(found: Forecast) -> set[str]:
    return {one.operator for one in found.left}


@pytest.mark.full
@pytest.mark.usefixtures("_by_rules")
def test_our_export_for_phones_of_a_checkpoint(exported: Exports) -> None:
    found = by_name(doctor_provider(exported().checkpoint, MOBILE))
    assert {one.how for one in found.values()} == {"mbert-onnx export CHECKPOINT --target mobile --seq-len 40"}
    assert (found["qnn"].forecast.left, found["qnn"].forecast.partitions) == ((), 1)
    assert left(found["nnapi"].forecast) == {"Cast"}  # of the mask's int32
    assert found["nnapi"].forecast.partitions == 1
    assert left(found["coreml"].forecast) == {"MatMul", "Cast", "Unsqueeze"}
    assert "MLProgram" in found["coreml"].forecast.advice[0]
    assert "Gemm" not in left(found["xnnpack"].forecast)
    assert {"Gemm", "MatMul", "Softmax"} == set(found["xnnpack"].forecast.taken)
    for one in found.values():
        (usual,) = one.alternatives
        assert usual.how == "mbert-onnx export CHECKPOINT"
        assert usual.forecast.taken_nodes < one.forecast.taken_nodes
    assert len({one.forecast.nodes for one in found.values()}) == 1


@pytest.mark.usefixtures("_by_rules")
def test_our_dynamic_bundle_can_be_mended_for_phones(exported: Exports) -> None:
    (found,) = doctor_provider(exported().bundle, "qnn")
    assert (found.how, found.notes) == ("", ())
    assert found.forecast.taken_nodes < 5
    assert any("--target mobile --seq-len N" in line for line in found.forecast.advice)
    optimized, fixed = found.alternatives
    assert optimized.how == "mbert-onnx optimize MODEL --target mobile"
    assert fixed.how.endswith("make_dynamic_shape_fixed for batch 1 and 40 tokens")
    # onnxruntime itself makes a Gemm of a MatMul and the residual that is added to it; no other operator is left.
    assert left(fixed.forecast) <= {"Gemm"}
    assert fixed.forecast.taken_nodes > optimized.forecast.taken_nodes + 50


@pytest.mark.usefixtures("_by_rules")
def test_a_bundle_for_phones_needs_nothing(exported: Exports) -> None:
    (found,) = doctor_provider(exported(target="mobile", seq_len=32).bundle, "qnn")
    assert (found.forecast.left, found.forecast.partitions, found.alternatives) == ((), 1, ())


@pytest.mark.usefixtures("_by_rules")
@pytest.mark.parametrize("task", ["question-answering", "multiple-choice"])
def test_providers_of_phones_take_the_model_of_a_text_file_and_nothing_else(
    exported: Exports, tmp_path: Path, task: str
) -> None:
    bundle = exported(task, target="mobile", seq_len=8)
    file = tmp_path / "model_text.onnx"
    ir.save(TextFile(bundle.bundle).file, file)
    for name in ("qnn", "nnapi", "xnnpack"):
        model, whole = (forecast(path, named(name)) for path in (bundle.model, file))
        assert (whole.taken, whole.partitions) == (model.taken, model.partitions), name


@pytest.mark.full
@pytest.mark.usefixtures("_by_rules")
def test_a_file_of_anybodys_gains_by_optimize(tmp_path: Path) -> None:
    model = save_small(tmp_path / "checkpoint")
    path = tmp_path / "theirs.onnx"
    export_with_torch_export(model, path, ["start_logits", "end_logits"], fixed=True)
    (found,) = doctor_provider(path, "nnapi")
    (optimized,) = found.alternatives
    assert optimized.forecast.nodes < found.forecast.nodes
    assert len(optimized.forecast.left) < len(found.forecast.left)


def test_the_cpu_takes_all_and_our_kernels_take_blocks(exported: Exports) -> None:
    found = by_name(doctor_provider(exported().bundle, "cpu, cpu+native, cpu"))
    assert list(found) == ["cpu", "cpu+native"]
    assert all(one.forecast.asked and not one.forecast.left and not one.alternatives for one in found.values())
    if library_for(AUTO) is not None:
        assert found["cpu+native"].forecast.taken.keys() & {"Encoder", "StackedFFN"}
    assert not found["cpu"].forecast.taken.keys() & {"Encoder", "StackedFFN"}


@pytest.mark.full
@pytest.mark.usefixtures("_by_rules")
def test_all_providers_are_answered_for_in_json_and_in_print(
    exported: Exports, capsys: pytest.CaptureFixture[str]
) -> None:
    found = doctor_provider(exported(target="mobile", seq_len=32).bundle, ALL)
    assert [one.forecast.provider for one in found] == [provider.name for provider in KNOWN]
    told = json.loads(json.dumps([one.as_dict() for one in found]))
    assert told[0]["forecast"]["taken_nodes"] == told[0]["forecast"]["nodes"]
    print_forecasts(found)
    text = capsys.readouterr().out
    assert all(f"{provider.name} " in text for provider in KNOWN)


@pytest.mark.usefixtures("_by_rules")
def test_each_file_is_read_once_for_all_providers(exported: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading takes onnxruntime and shape inference, which would be most of the time of `--provider all`."""
    read: list[Path] = []

    def counted(path: Path) -> Graph:
        read.append(path)
        return read_graph(path)

    monkeypatch.setattr(forecasting, "read_graph", counted)
    found = doctor_provider(exported().model, "cpu,nnapi,coreml,cuda")
    assert sum(1 + len(one.alternatives) for one in found) > len(read)
    assert len(set(read)) == len(read)


@pytest.mark.usefixtures("_by_rules")
def test_what_cannot_be_made_is_a_note(exported: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BundleError("no room")

    monkeypatch.setattr(forecasting, "optimize", refuse)
    (found,) = doctor_provider(exported().bundle, "xnnpack")
    assert found.alternatives == ()
    assert found.notes[0] == "mbert-onnx optimize MODEL --target mobile: no room"


def test_unknown_provider(exported: Exports) -> None:
    with pytest.raises(PerfUsageError, match=r"unknown provider 'gpu'; known are cpu, "):
        doctor_provider(exported().bundle, "cpu,gpu")


def test_no_such_file() -> None:
    with pytest.raises(BundleError, match="does not exist"):
        doctor_provider("nowhere.onnx", "qnn")


def test_no_such_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        doctor_provider(tmp_path / "none", "qnn")


def test_not_onnx(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a model")
    with pytest.raises(GraphError, match="is not an ONNX model, or is corrupt") as caught:
        doctor_provider(path, "qnn")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime_qnn") is None, reason="`make test-providers` installs it")
@pytest.mark.parametrize(
    "options", [{}, {"target": "mobile", "seq_len": 32}], ids=["dynamic sizes", "fixed sizes, for phones"]
)
def test_qnn_itself_takes_what_its_rules_say(
    exported: Exports, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    qnn, file = named("qnn"), exported(**options).model
    assert standing(qnn).usable
    itself = forecast(file, qnn)
    monkeypatch.setattr(perf.providers.forecast, "standing", lambda item: Standing(item, False))
    ruled = forecast(file, qnn)
    assert (itself.asked, ruled.asked) == (True, False)
    assert itself.taken == ruled.taken
    assert (itself.nodes, itself.partitions) == (ruled.nodes, ruled.partitions)
    assert left(itself) == left(ruled)
