"""`doctor`: what it finds in tame and hot models, and what it says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import hot_checkpoints
import onnx
import pytest
import transformers
from small_checkpoints import save_small
from tf2onnx_graphs import tf_mobilebert
from typer.testing import CliRunner

from mbert_onnx import export
from mbert_onnx.cli.application import app
from mbert_onnx.diagnosis.ranges import AS_IS, Diagnosis, doctor
from mbert_onnx.errors import BundleError, CheckpointError, PrecisionError
from mbert_onnx.model.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def folder(runtime_tokenizer: transformers.BertTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("doctor") / "tame"
    save_small(path, vocab_size=len(runtime_tokenizer))
    runtime_tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def tame(folder: Path, texts: Path) -> Diagnosis:
    return doctor(folder, calibrate=texts)


def hot(kind: str, folder: Path, tokenizer: transformers.BertTokenizerFast, path: Path) -> Path:
    model: Any = load_checkpoint(folder).model
    hot_checkpoints.save(getattr(hot_checkpoints, kind)(model, 0), path)
    tokenizer.save_pretrained(path)
    return path


def test_a_tame_model_is_safe(tame: Diagnosis) -> None:
    assert tame.layers == ["embeddings", "layer.0", "layer.1", "head"]
    assert set(tame.maps) == {AS_IS, "fp16", "int8"}
    for precision, prospect in tame.prospects.items():
        assert prospect.safe
        assert prospect.advice == f"pass --precision {precision}"
        assert prospect.tensors > 20
        assert prospect.rescaled_unsafe == 0
    assert tame.texts >= 8


@pytest.mark.full
def test_hot_channels_are_named_and_rescaling_mends_them(
    folder: Path, texts: Path, runtime_tokenizer: transformers.BertTokenizerFast, tmp_path: Path
) -> None:
    found = doctor(hot("hot_channels", folder, runtime_tokenizer, tmp_path / "hot"), calibrate=texts)
    prospect = found.prospects["fp16"]
    assert prospect.overflowing > 5
    assert prospect.unsafe >= prospect.overflowing
    assert prospect.rescaled_unsafe == prospect.rescaled_overflowing == 0
    assert prospect.safe
    width = load_checkpoint(folder).config.hidden_size
    expected = {int(i) for i in (hot_checkpoints.channel_factors(width, 0) > 1).nonzero().flatten()}
    streams = [one for one in found.maps[AS_IS] if one.layer == "layer.1" and one.overflow and one.kind == "activation"]
    assert streams
    assert any({channel.channel for channel in one.channels} <= expected for one in streams if one.channels)


@pytest.mark.full
def test_a_hot_first_token_is_named(
    folder: Path, texts: Path, runtime_tokenizer: transformers.BertTokenizerFast, tmp_path: Path
) -> None:
    found = doctor(hot("hot_token", folder, runtime_tokenizer, tmp_path / "hot"), calibrate=texts)
    positions = {token.position for one in found.maps[AS_IS] if one.peak > 1e6 for token in one.tokens}
    assert positions == {0}
    assert "[CLS]" in found.pieces.values()
    channels = {channel.channel for one in found.maps[AS_IS] if one.peak > 1e7 for channel in one.channels[:1]}
    assert 0 in channels


@pytest.mark.full
def test_a_bundle_says_the_same_as_its_checkpoint(folder: Path, texts: Path, tame: Diagnosis, tmp_path: Path) -> None:
    export(folder, tmp_path / "b")
    found = doctor(tmp_path / "b", calibrate=texts)
    assert found.prospects["int8"].rescaled_tensors == tame.prospects["int8"].rescaled_tensors
    assert found.prospects["fp16"].safe
    lone = tmp_path / "lone.onnx"
    lone.write_bytes((tmp_path / "b" / "onnx" / "model.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"has no tokenizer\.json"):
        doctor(lone, calibrate=texts)
    assert doctor(lone, calibrate=texts, tokenizer=folder).task == "question-answering"


def test_the_command_line(folder: Path, texts: Path, tame: Diagnosis) -> None:
    arguments = ["doctor", str(folder), "--calibrate", str(texts)]
    printed = CliRunner().invoke(app, arguments)
    assert printed.exit_code == 0, printed.output
    assert "layer.1" in printed.stdout
    assert "pass --precision int8" in printed.stdout
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert told["schema"] == 1
    assert set(told["maps"]) == {AS_IS, "fp16", "int8"}
    assert len(told["maps"][AS_IS]) == len(tame.maps[AS_IS])
    assert {"low", "high", "rms", "overflow", "underflow", "channels", "tokens", "safe_in_fp16"} <= set(
        told["maps"][AS_IS][0]
    )
    everything = CliRunner().invoke(app, [*arguments, "--all"])
    assert all(one.name[:40] in everything.stdout for one in tame.maps[AS_IS] if one.layer == "layer.0")
    assert "…" not in everything.stdout.replace(", …", "")


def test_a_file_of_tensorflow(runtime_tokenizer: transformers.BertTokenizerFast, texts: Path, tmp_path: Path) -> None:
    """Its names are others, its weights' names say nothing of layers, and its outputs have no names."""
    names = ("input_word_ids", "input_mask:0", "x")
    onnx.save(tf_mobilebert(names=names, outputs=("Identity", "Identity_1"), keras=True), tmp_path / "tf.onnx")
    runtime_tokenizer.save_pretrained(tmp_path)
    found = doctor(tmp_path / "tf.onnx", calibrate=texts, tokenizer=tmp_path)
    assert found.task == "question-answering"
    assert found.layers == ["embeddings", "layer.0", "layer.1", "head"]
    # Products of each layer: two bottlenecks, query, key, value, scores, context, output, and those of the networks.
    as_is = Counter(numbers.layer for numbers in found.maps[AS_IS] if numbers.op in ("MatMul", "Einsum"))
    assert as_is["layer.0"] == as_is["layer.1"] > 10


@pytest.mark.full
def test_what_cannot_be_examined(folder: Path, texts: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / "b", precision="int8", calibrate=texts, min_agreement=0)
    with pytest.raises(PrecisionError, match="is int8 already, and doctor is about what float32 would lose"):
        doctor(tmp_path / "b")
    bare = tmp_path / "bare"
    save_small(bare, vocab_size=load_checkpoint(folder).config.vocab_size)
    with pytest.raises(CheckpointError, match=r"has no tokenizer, and doctor measures it on texts; pass --tokenizer"):
        doctor(bare)
    assert doctor(bare, calibrate=texts, tokenizer=folder).texts
    missing = CliRunner().invoke(app, ["doctor", str(tmp_path / "none.onnx")])
    assert missing.exit_code in (1, 2)
    assert missing.stderr.splitlines()[-1].startswith("mbert-onnx: ")
