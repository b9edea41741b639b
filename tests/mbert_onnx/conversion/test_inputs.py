"""Inputs that a model does not take: few positions, one segment, one batch, some lengths, no mask, few words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from exported_checkpoints import Exports
from narrowed_files import NARROWER, narrowed, with_quantized_table, with_type, without_input
from onnx import TensorProto
from small_checkpoints import save_small

import mbert_onnx
from mbert_onnx import doctor, export, load, optimize, verify
from mbert_onnx.benchmark.models.ours import build_plain
from mbert_onnx.bundles.model_file import find_file, read_text_model
from mbert_onnx.conversion.precision import read_texts
from mbert_onnx.errors import UsageError, VerificationError
from perf.sessions.subject import Sizes, Subject

TASK = "text-classification"


class Builder:
    """The part of `ModelBuilder` that a file needs."""

    seq_lens = (8, 32)
    task = None


def subject_of(file: Path) -> Subject:
    """The subject of a benchmark of a file, with the sizes that it takes."""
    built: Any = build_plain(type("Request", (), {"name": str(file)})(), Builder())  # type: ignore[arg-type]
    return built.subject


# Models that take few inputs


@pytest.mark.parametrize("switch", ["one_segment", "four_positions"])
def test_a_model_of_few_inputs_is_exported_verified_and_run(switch: str, exported: Exports, tmp_path: Path) -> None:
    found = exported(TASK, switch)
    assert found.metadata["verification"]["passed"]
    assert verify(found.bundle, found.checkpoint).not_compared == []
    assert load(found.bundle).classify("ada").label
    shutil.copy(found.model, tmp_path / "lone.onnx")
    assert verify(tmp_path / "lone.onnx", found.bundle).passed
    longest = 4 if switch == "four_positions" else 40
    expected = Sizes(longest=4) if longest == 4 else Sizes()
    assert subject_of(tmp_path / "lone.onnx").sizes == expected
    assert subject_of(found.bundle).sizes == Sizes(longest=longest)


def test_a_model_of_two_positions_has_that_length_only(tmp_path: Path) -> None:
    save_small(tmp_path / "model", "MobileBertForSequenceClassification", max_position_embeddings=2)
    report = export(tmp_path / "model", tmp_path / "bundle")
    session = onnxruntime.InferenceSession(report.model)
    assert {tuple(one.shape[1:]) for one in session.get_inputs()} == {(2,)}


def test_both_texts_of_a_pair_are_the_only_segment(exported: Exports) -> None:
    found = exported(TASK, "one_segment")
    model = load(found.bundle)
    assert set(model.tokenizer.truncated("ada wrote it", "who built it")[0].type_ids) == {0}
    assert model.classify("ada wrote it", "who built it").label


@pytest.mark.parametrize("switch", ["one_segment", pytest.param("four_positions", marks=pytest.mark.full)])
def test_calibration_texts_fit(switch: str, exported: Exports, texts: Path) -> None:
    found = exported(TASK, switch, precision="int8", calibrate=texts, min_agreement=0)
    verdict = verify(found.bundle, found.checkpoint, calibrate=texts, min_agreement=0)
    assert verdict.damage is not None
    assert verdict.passed


# Files that run with fewer sizes than they declare


@pytest.mark.parametrize(
    ("how", "sizes", "says"),
    [
        ("batch 1", Sizes(batch=1), "batches other than 1: x.onnx does not take them"),
        ("17 tokens", Sizes(shortest=17, longest=17), "other lengths: x.onnx takes 17 tokens"),
        ("multiples of 8", Sizes(shortest=8, step=8), "other lengths: x.onnx takes 8 to 40 tokens in steps of 8"),
    ],
)
def test_files_that_run_with_some_sizes_only(
    how: str, sizes: Sizes, says: str, exported: Exports, texts: Path, tmp_path: Path
) -> None:
    assert how in NARROWER
    found = exported(TASK)
    file = narrowed(found.model, tmp_path / "x.onnx", how)
    verdict = verify(file, found.checkpoint)
    assert verdict.passed
    assert verdict.not_compared == [says]
    for one, other in ((file, found.model), (found.bundle, file), (file, file)):
        assert verify(one, other).passed
    report = optimize(file, tmp_path / "optimized.onnx")
    assert report.error is not None
    assert verify(tmp_path / "optimized.onnx", file).passed
    assert subject_of(file).sizes == sizes

    model = read_text_model(*find_file(file), purpose="test", task=TASK, tokenizer=found.checkpoint)
    feeds = read_texts(texts, model).fit
    session = onnxruntime.InferenceSession(file)
    for feed in feeds:
        session.run(None, dict(feed))
    diagnosis = doctor(file, calibrate=texts, tokenizer=found.checkpoint, task=TASK)
    assert diagnosis.texts == len(feeds)


def test_sizes_that_two_files_do_not_share(exported: Exports, tmp_path: Path) -> None:
    found = exported(TASK)
    one = narrowed(found.model, tmp_path / "one.onnx", "17 tokens")
    eights = narrowed(found.model, tmp_path / "eights.onnx", "multiples of 8")
    with pytest.raises(VerificationError, match=r"sizes \(one.onnx: 17 tokens and eights.onnx: 8 to 40 tokens"):
        verify(one, eights)


def test_a_table_in_8_bits(exported: Exports, tmp_path: Path) -> None:
    found = exported(TASK)
    (table,) = (t.name for t in onnx.load(found.model).graph.initializer if "word_embeddings" in t.name)
    file = with_quantized_table(found.model, tmp_path / "x.onnx", table)
    rows = onnx.load(found.model).graph.initializer
    assert subject_of(file).vocab_size == next(t.dims[0] for t in rows if t.name == table)
    assert verify(file, file).passed
    optimize(file, tmp_path / "optimized.onnx")


# Files without an input


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("token_type_ids", "pairs of texts: x.onnx takes no token_type_ids"),
        ("attention_mask", "texts with padding: x.onnx takes no attention_mask"),
    ],
)
def test_both_sides_get_what_both_take(name: str, says: str, exported: Exports, tmp_path: Path) -> None:
    found = exported(TASK)
    file = without_input(found.model, tmp_path / "x.onnx", name)
    for one, other in ((file, found.checkpoint), (file, found.bundle), (found.bundle, file)):
        verdict = verify(one, other)
        assert verdict.passed
        assert verdict.not_compared == [says]
        assert ("without padding" in str(verdict)) == (name == "attention_mask")
    assert verify(file, file).not_compared == []


def test_without_mask_and_types(exported: Exports, tmp_path: Path) -> None:
    found = exported(TASK)
    file = without_input(found.model, tmp_path / "x.onnx", "attention_mask")
    file = without_input(file, tmp_path / "y.onnx", "token_type_ids")
    verdict = verify(file, found.checkpoint)
    assert verdict.passed
    assert len(verdict.not_compared) == 2


def test_what_is_not_the_same_is_found_with_fewer_inputs_too(exported: Exports, tmp_path: Path) -> None:
    file = without_input(exported(TASK).model, tmp_path / "x.onnx", "token_type_ids")
    assert not verify(file, exported(TASK, "one_ffn").checkpoint).passed


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("attention_mask", TensorProto.FLOAT),
        ("attention_mask", TensorProto.BOOL),
        ("token_type_ids", TensorProto.INT32),
    ],
)
def test_inputs_of_other_types(name: str, kind: int, exported: Exports, texts: Path, tmp_path: Path) -> None:
    found = exported(TASK)
    file = with_type(found.model, tmp_path / "x.onnx", name, kind)
    assert verify(file, found.checkpoint).passed
    assert verify(file, found.bundle).not_compared == []
    assert optimize(file, tmp_path / "optimized.onnx").error is not None
    model = read_text_model(*find_file(file), purpose="test", task=TASK, tokenizer=found.checkpoint)
    onnxruntime.InferenceSession(file).run(None, dict(read_texts(texts, model).fit[0]))


# Lower precision


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_lower_precision_is_measured_as_by_export(precision: str, exported: Exports, texts: Path) -> None:
    found = exported(precision=precision, calibrate=texts, min_agreement=0)
    known = found.metadata["verification"]
    verdict = verify(found.bundle, found.checkpoint, calibrate=texts)
    damage = verdict.damage
    assert damage is not None
    for key in ("error", "errors", "agreement", "decisions", "texts", "tokens", "kernels_error", "kernels_agreement"):
        expected = known[key]
        assert getattr(damage, key) == (None if expected is None else pytest.approx(expected, rel=1e-3)), key
    assert damage.min_agreement == 0.99
    assert damage.decisions == 2 * damage.texts  # the start and the end of each answer
    assert f" % of {damage.decisions} decisions equal" in str(verdict)
    assert f"(at least 99.0 % wanted); {damage.texts} held-out texts of {texts.name}, " in str(verdict)
    worst = min(damage.agreement, 1.0 if damage.kernels_agreement is None else damage.kernels_agreement)
    assert verdict.passed == (worst >= 0.99)
    printed = json.loads(json.dumps(verdict.as_dict(), allow_nan=False))
    assert (printed["passed"], printed["damage"]["precision"]) == (verdict.passed, precision)
    assert verify(found.bundle, found.checkpoint, calibrate=texts, min_agreement=worst).passed
    assert verify(found.bundle, found.checkpoint, calibrate=texts, min_agreement=1.0).passed == (worst == 1.0)


def test_a_lower_precision_against_its_float_file(exported: Exports, texts: Path) -> None:
    found, lower = exported(), exported(precision="int8", calibrate=texts, min_agreement=0)
    damage = verify(lower.bundle, found.bundle, calibrate=texts, min_agreement=0).damage
    assert damage is not None
    assert damage.error == pytest.approx(lower.metadata["verification"]["error"], rel=1e-2)
    assert verify(lower.bundle, lower.bundle).passed  # the same numbers; needs no texts


def test_a_lower_precision_on_its_own_is_read_by_the_checkpoint_s_tokenizer(
    exported: Exports, texts: Path, tmp_path: Path
) -> None:
    lower = exported(precision="int8", calibrate=texts, min_agreement=0)
    shutil.copy(lower.model, tmp_path / "x.onnx")
    assert verify(tmp_path / "x.onnx", lower.checkpoint, calibrate=texts, min_agreement=0).passed
    shutil.copy(exported().model, tmp_path / "float.onnx")
    with pytest.raises(mbert_onnx.MbertError, match=r"int8 files are compared on texts; pass --tokenizer"):
        verify(tmp_path / "x.onnx", tmp_path / "float.onnx")


@pytest.mark.parametrize("option", ["min_agreement", "calibrate", "tokenizer"])
def test_options_of_a_lower_precision_are_refused_for_float32(option: str, exported: Exports, texts: Path) -> None:
    values: dict[str, Any] = {"min_agreement": 0.5, "calibrate": texts, "tokenizer": exported().checkpoint}
    with pytest.raises(UsageError, match=r"--[a-z-]+ is for fp16 and int8 files, .*model.onnx is fp32"):
        verify(exported().bundle, exported().checkpoint, **{option: values[option]})


# An empty batch


@pytest.mark.parametrize("task", [TASK, "question-answering", "fill-mask", "multiple-choice", "feature-extraction"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_batch_without_texts(precision: str, task: str, exported: Exports, texts: Path) -> None:
    options: dict[str, Any] = (
        {} if precision == "fp32" else {"precision": "int8", "calibrate": texts, "min_agreement": 0}
    )
    found = exported(task, **options)
    shape = (0, 2, 5) if task == "multiple-choice" else (0, 5)
    for kernels in ("portable", "auto"):
        model = load(found.bundle, kernels=kernels)
        feed = {node.name: np.zeros(shape, np.int64) for node in model.session.get_inputs()}
        assert all(output.shape[0] == 0 for output in model.session.run(None, feed))
