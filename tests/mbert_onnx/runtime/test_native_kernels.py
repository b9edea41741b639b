"""`--kernels`: which sessions get the native kernels, and what is said where there are none."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes
import onnxruntime
import pytest
from exported_checkpoints import Exports
from typer.testing import CliRunner

import mbert_onnx
from graphs import kernels as native
from graphs.functions import embeddings, encoder
from mbert_onnx.benchmark.models.builder import ModelBuilder
from mbert_onnx.cli.application import app
from mbert_onnx.conversion import file_runner
from mbert_onnx.conversion.damage import Damage
from mbert_onnx.conversion.verification import model_check
from mbert_onnx.errors import BundleError, UsageError, VerificationError
from mbert_onnx.runtime import loading
from mbert_onnx.runtime.native_kernels import CHOICES, library_for, why_not_native
from mbert_onnx.text.tasks import Task

needs_kernels = pytest.mark.skipif(native.library() is None, reason="no kernels are built here; `make setup` does it")

IDS = np.arange(2, 22).reshape(2, 10)


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)


def model_builder(stack: ExitStack, kernels: str) -> ModelBuilder:
    return ModelBuilder(stack, task=None, seed=0, seq_lens=None, batch=1, kernels=kernels, progress=None)


def telling_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def outside_of_the_encoder(file: Path) -> None:
    """Rewrites a file as earlier versions wrote it: each layer is two operators, and the embeddings are many."""
    model = ir.load(file)
    common_passes.InlinePass(criteria=lambda function: function.name in (encoder.FLOAT16, embeddings.FLOAT16))(model)
    ir.save(model, file)


def nodes(bundle: Path, kernels: str, options: onnxruntime.SessionOptions | None = None) -> int:
    """How many nodes onnxruntime runs: a block is one with the kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_quiet_options", telling_options)
        session = mbert_onnx.load(bundle, kernels=kernels, session_options=options).session
    return sum(len(part.get_nodes()) for part in session.get_provider_graph_assignment_info())


@needs_kernels
@pytest.mark.parametrize("task", ["question-answering", "fill-mask"])
def test_load_computes_blocks_by_kernels_unless_told_otherwise(task: str, exported: Exports) -> None:
    bundle = exported(task).bundle
    assert nodes(bundle, "auto") == nodes(bundle, "native") < nodes(bundle, "portable") - 20
    found, expected = (mbert_onnx.load(bundle, kernels=kernels).logits(IDS) for kernels in ("native", "portable"))
    for name, logits in expected.items():
        np.testing.assert_allclose(found[name], logits, atol=1e-5 * float(np.abs(logits).max()))


@needs_kernels
@pytest.mark.skipif(sys.platform != "linux", reason="the mappings of a process are in /proc")
def test_load_maps_the_weights_of_a_file_that_runs_with_kernels(exported: Exports, tmp_path: Path) -> None:
    bundle = shutil.copytree(exported().bundle, tmp_path / "bundle")
    for kernels, is_mapped in (("portable", False), ("auto", True)):
        model = mbert_onnx.load(bundle, kernels=kernels)
        assert (str(model.bundle.model_path.resolve()) in Path("/proc/self/maps").read_text()) == is_mapped


@needs_kernels
def test_options_of_the_caller_are_left_alone(exported: Exports, caplog: pytest.LogCaptureFixture) -> None:
    bundle, options = exported().bundle, telling_options()
    with caplog.at_level("INFO", "mbert_onnx"):
        nodes(bundle, "auto", options)
    assert "runs without the native kernels: session_options are given" in caplog.text
    assert nodes(bundle, "auto", options) == nodes(bundle, "auto", options) == nodes(bundle, "portable")
    assert nodes(bundle, "native", options) < nodes(bundle, "portable") - 20


@needs_kernels
def test_an_unknown_instruction_set_is_named_before_a_file_is_blamed(
    exported: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = exported().bundle
    monkeypatch.setenv("MBERT_KERNELS_ISA", "mmx")
    result = CliRunner().invoke(app, ["run", str(bundle), "who?", "--context", "Ada wrote it."])
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "mbert-onnx: MBERT_KERNELS_ISA is 'mmx', which this processor lacks; expected one of"
    )
    assert "xport" not in result.stderr
    assert mbert_onnx.run(bundle, "who?", context="Ada.", kernels="portable")


@pytest.mark.full
@needs_kernels
def test_half_precision_has_kernels(exported: Exports, texts: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"precision": "fp16", "calibrate": texts, "min_agreement": 0}
    report = mbert_onnx.export(exported().checkpoint, tmp_path / "b", **options)
    assert isinstance(report.verdict, Damage)
    assert report.verdict.kernels_error is not None
    assert why_not_native(tmp_path / "b" / "onnx" / "model_fp16.onnx") is None
    assert nodes(tmp_path / "b", "auto") == nodes(tmp_path / "b", "native") < nodes(tmp_path / "b", "portable") - 20


@pytest.mark.full
@needs_kernels
def test_half_precision_of_an_earlier_version_has_no_kernels_and_is_loaded_all_the_same(
    exported: Exports, texts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"precision": "fp16", "calibrate": texts, "min_agreement": 0}
    mbert_onnx.export(exported().checkpoint, tmp_path / "b", **options)
    file = tmp_path / "b" / "onnx" / "model_fp16.onnx"
    outside_of_the_encoder(file)
    assert "half precision" in (why_not_native(file) or "")
    with caplog.at_level("INFO", "mbert_onnx"):
        assert nodes(tmp_path / "b", "auto") == nodes(tmp_path / "b", "portable")
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{file} runs without the native kernels: its blocks are in half precision")
    with pytest.raises(
        BundleError, match=r"compute no block of .*model_fp16\.onnx: its blocks are .*; pass --kernels auto"
    ):
        mbert_onnx.load(tmp_path / "b", kernels="native")


@needs_kernels
@pytest.mark.full
def test_export_verifies_with_them_too(exported: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = exported().metadata["verification"]
    assert 0 < measured["kernels_error"] <= measured["bar"]
    report: Any = mbert_onnx.export(exported().checkpoint, tmp_path / "b", kernels="portable")
    assert report.verdict.kernels_error is None
    runner = file_runner.file_runner

    def wrong(path: Path, task: Task, library: Path | None = None, **options: Any) -> Any:
        opened = runner(path, task, library, **options)
        if library is None:
            return opened
        return opened._replace(run=lambda feed: {name: -value for name, value in opened.run(feed).items()})

    monkeypatch.setattr(model_check, "file_runner", wrong)
    with pytest.raises(VerificationError, match=r"is not the same as the model, nothing is written: .*native kernels"):
        mbert_onnx.export(exported().checkpoint, tmp_path / "c")
    assert not (tmp_path / "c").exists()


@needs_kernels
def test_int8_is_measured_with_them_too(exported: Exports, texts: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"precision": "int8", "calibrate": texts, "min_agreement": 0}
    damage: Any = mbert_onnx.export(exported().checkpoint, tmp_path / "b", **options).verdict
    assert 0 < damage.kernels_error < 1.5 * damage.error
    assert 0 <= damage.kernels_agreement <= 1
    assert replace(damage, min_agreement=0.99, agreement=1.0, kernels_agreement=1.0).passed
    assert not replace(damage, min_agreement=0.99, agreement=1.0, kernels_agreement=0.5).passed


@needs_kernels
def test_bench_takes_them_for_files_that_have_blocks(exported: Exports, tmp_path: Path) -> None:
    file = exported().model
    plain = tmp_path / "plain.onnx"
    shutil.copy(exported(functions=False).model, plain)
    with ExitStack() as stack:
        assert model_builder(stack, "auto").subject(str(file)).library == native.library()
        assert model_builder(stack, "portable").subject(str(file)).library is None
        assert model_builder(stack, "auto").subject(str(plain)).library is None
        both = model_builder(stack, "auto")
        subjects = [both.subject(f"{choice}:{file}") for choice in ("native", "portable")]
        assert [subject.library for subject in subjects] == [native.library(), None]
        assert [subject.name for subject in subjects] == [f"native:{file}", f"portable:{file}"]
        assert f"run with the native kernels, {native.instruction_set()}" in subjects[0].notes
        with pytest.raises(
            UsageError,
            match=r"^the native kernels compute no block of .*plain\.onnx: it has no functions of the domain mbert",
        ):
            both.subject(f"native:{plain}")


@needs_kernels
def test_the_command_line(exported: Exports) -> None:
    printed = CliRunner().invoke(app, ["kernels"])
    assert printed.exit_code == 0
    assert str(native.library()) in printed.stdout.replace("\n", "")
    told = json.loads(CliRunner().invoke(app, ["kernels", "--json"]).stdout)
    assert told["instruction_set"] == native.instruction_set()
    assert told["instruction_sets"]["portable"] is True
    question = ["run", str(exported().bundle), "who ?", "--context", "ada wrote it in london .", "--json"]
    answers = [CliRunner().invoke(app, [*question, "--kernels", choice]) for choice in CHOICES]
    assert [answer.exit_code for answer in answers] == [0, 0, 0]
    assert len({json.loads(answer.stdout)[0]["answer"] for answer in answers}) == 1
    wrong = CliRunner().invoke(app, [*question, "--kernels", "fast"])
    assert wrong.exit_code == 2
    assert wrong.stderr.strip() == "mbert-onnx: --kernels is 'fast'; expected one of auto, native, portable"


@needs_kernels
def test_an_instruction_set_may_be_forced() -> None:
    assert mbert_onnx.kernels("portable").instruction_set == "portable"
    assert mbert_onnx.kernels("best").instruction_set == next(k for k, v in native.instruction_sets().items() if v)
    with pytest.raises(UsageError, match=r"^this processor has no instruction set 'mmx'; expected one of"):
        mbert_onnx.kernels("mmx")


def test_an_installation_without_kernels(without_library: None, exported: Exports) -> None:
    assert mbert_onnx.kernels().library is None
    assert library_for("auto") is library_for("portable") is None
    with pytest.raises(UsageError, match="--kernels is native, and this installation has no library of kernels"):
        library_for("native")
    assert mbert_onnx.load(exported().bundle).logits(IDS)
    printed = CliRunner().invoke(app, ["kernels"])
    assert "none: the function bodies in the files are run instead" in printed.stdout
