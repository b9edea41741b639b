"""sentence-transformers folders: the exported bundle embeds texts as that library does, computed here with torch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import transformers
from exported_checkpoints import Exports
from third_party_exports import export_with_torchscript

from mbert_onnx import export, load, optimize, verify
from mbert_onnx.conversion.text_files import writing
from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import checkpoint_folder, load_checkpoint

TEXTS = (
    "Ada wrote the first program.",
    "who wrote it ?",
    "the quick brown fox jumps over the lazy dog near the river in paris . " * 3,
)
TRANSFORMER = {"type": "sentence_transformers.models.Transformer"}
POOLING = {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}


def expected(theirs: Any, tokenizer: Path, text: str, settings: dict[str, Any]) -> np.ndarray:
    """Returns the vector of sentence-transformers: Transformer, Pooling (mean) and maybe Normalize."""
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tokenizer), pad_token="[PAD]")
    prepared = f"{settings['prompt']}{text}".strip()
    prepared = prepared.lower() if settings["do_lower_case"] else prepared
    length = settings["max_seq_length"]
    batch = fast([prepared], padding=True, truncation="longest_first", max_length=length, return_tensors="pt")
    mask = batch["attention_mask"][..., None]
    with torch.no_grad():
        states = theirs.double()(**batch).last_hidden_state
    mean = (states * mask).sum(1) / mask.sum(1)
    vector = torch.nn.functional.normalize(mean) if settings["normalize"] else mean
    found: np.ndarray = vector[0].numpy()
    return found


def assert_embeds_as(theirs: Any, bundle: Path, settings: dict[str, Any], file: str = "") -> None:
    model = load(bundle / file)
    for text in TEXTS:
        wanted = expected(theirs, bundle / "tokenizer.json", text, settings)
        np.testing.assert_allclose(model.embed(text), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def put_modules(folder: Path, *modules: dict[str, str], pooling: str = "mean", **settings: Any) -> None:
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": pooling}))
    (folder / modules[0]["path"] / "sentence_bert_config.json").write_text(json.dumps(settings))


@pytest.mark.usefixtures("traced_once")
def test_a_folder_exports_with_its_pooling(exported: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "check_text", lambda *_arguments, **_named: None)  # it has tests of its own
    source, folder = exported("feature-extraction"), tmp_path / "st"
    shutil.copytree(source.checkpoint, folder / "0_Transformer")
    put_modules(folder, TRANSFORMER | {"path": "0_Transformer"}, POOLING, NORMALIZE, max_seq_length=16)
    prompts = {"prompts": {"query": "who ? "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    assert checkpoint_folder(folder) == folder / "0_Transformer"
    report = export(folder, tmp_path / "bundle", text=True)
    assert "sentence-transformers: `embed` returns the normalized mean of a text's first 16 tokens" in report.notes
    settings = {"max_seq_length": 16, "normalize": True, "do_lower_case": False, "prompt": "who ? "}
    metadata = json.loads((tmp_path / "bundle" / "mbert_onnx.json").read_text())
    assert metadata["sentence_embedding"] == {"pooling": "mean", **settings}
    assert_embeds_as(source.theirs, tmp_path / "bundle", settings)
    assert_embeds_as(source.theirs, tmp_path / "bundle", settings, "onnx/model_text.onnx")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"normalize": True},
        {"max_seq_length": 40},
        {"max_seq_length": 3},
        {"do_lower_case": True},
        {"prompt": "PARIS: ", "do_lower_case": True},
    ],
)
def test_every_setting_of_a_bundle(changes: dict[str, Any], exported: Exports, tmp_path: Path) -> None:
    source = exported("feature-extraction")
    shutil.copytree(source.bundle, tmp_path, dirs_exist_ok=True)
    settings = {"max_seq_length": 12, "normalize": False, "do_lower_case": False, "prompt": "", **changes}
    metadata = source.metadata | {"sentence_embedding": {"pooling": "mean", **settings}}
    (tmp_path / "mbert_onnx.json").write_text(json.dumps(metadata))
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False  # else do_lower_case changes nothing
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "tokenizer_config.json").unlink()  # it has the setting, too
    assert_embeds_as(source.theirs, tmp_path, settings)


def test_windows_on_request_and_normalize_on_request(exported: Exports, tmp_path: Path) -> None:
    source = exported("feature-extraction")
    shutil.copytree(source.bundle, tmp_path, dirs_exist_ok=True)
    record = {"pooling": "mean", "max_seq_length": 12, "normalize": False, "do_lower_case": False, "prompt": ""}
    (tmp_path / "mbert_onnx.json").write_text(json.dumps(source.metadata | {"sentence_embedding": record}))
    plain, sentences = load(source.bundle), load(tmp_path)
    whole = plain.embed(TEXTS[2], stride=5)
    np.testing.assert_array_equal(sentences.embed(TEXTS[2], stride=5), whole)
    assert np.abs(sentences.embed(TEXTS[2]) - whole).max() > 1e-2 * np.abs(whole).max()
    assert np.linalg.norm(sentences.embed(TEXTS[2], normalize=True)) == pytest.approx(1)


@pytest.mark.parametrize("task", [None, "feature-extraction"])
def test_another_pooling_is_refused_by_export_alone(task: str | None, exported: Exports, tmp_path: Path) -> None:
    folder = tmp_path / "st"
    shutil.copytree(exported("feature-extraction").checkpoint, folder)
    put_modules(folder, TRANSFORMER | {"path": ""}, POOLING, pooling="cls")
    with pytest.raises(
        CheckpointError, match=r"sentence-transformers model .*: its pooling is cls; expected Transformer"
    ):
        export(folder, tmp_path / "bundle", task=task)
    assert not (tmp_path / "bundle").exists()
    load_checkpoint(folder, task="feature-extraction")  # as a backbone to fine-tune, for example


def test_the_task_of_a_folder_is_to_embed(exported: Exports, tmp_path: Path) -> None:
    """Whatever head the checkpoint has: sentence-transformers reads only the bare model."""
    shutil.copytree(exported("text-classification").checkpoint, tmp_path, dirs_exist_ok=True)
    put_modules(tmp_path, TRANSFORMER | {"path": ""}, POOLING)
    assert load_checkpoint(tmp_path).task.name == "sentence-similarity"
    asked = load_checkpoint(tmp_path, task="text-classification")
    assert asked.task.name == "text-classification"
    assert asked.sentence_embedding() == (None, [])


def test_a_cross_encoder_is_its_classifier(exported: Exports, tmp_path: Path) -> None:
    shutil.copytree(exported("text-classification").checkpoint, tmp_path, dirs_exist_ok=True)
    put_modules(tmp_path, TRANSFORMER | {"path": ""}, transformer_task="sequence-classification")
    found = load_checkpoint(tmp_path)
    assert found.task.name == "text-classification"
    assert found.sentence_embedding() == (None, [])


def test_a_sparse_encoder_is_refused(exported: Exports, tmp_path: Path) -> None:
    shutil.copytree(exported("fill-mask").checkpoint, tmp_path, dirs_exist_ok=True)
    sparse = {"path": "", "type": "sentence_transformers.sparse_encoder.models.MLMTransformer"}
    put_modules(tmp_path, sparse, {"path": "1_Pooling", "type": "sentence_transformers.x.SpladePooling"})
    with pytest.raises(CheckpointError, match=r"its modules are MLMTransformer, SpladePooling; expected"):
        load_checkpoint(tmp_path).sentence_embedding()
    assert load_checkpoint(tmp_path, task="fill-mask").sentence_embedding() == (None, [])


def test_modules_without_a_checkpoint_are_named(tmp_path: Path) -> None:
    put_modules(tmp_path, {"path": "", "type": "sentence_transformers.models.StaticEmbedding"})
    with pytest.raises(CheckpointError, match=r"its modules are StaticEmbedding; expected Transformer, Pooling"):
        load_checkpoint(tmp_path)


def test_files_of_other_exporters_keep_their_names(exported: Exports, tmp_path: Path) -> None:
    """optimum calls the hidden states `token_embeddings`; a file for searching alone may lack them."""
    source, given, found = exported("sentence-similarity"), tmp_path / "given.onnx", tmp_path / "found.onnx"
    export_with_torchscript(source.theirs, given, ("token_embeddings", "sentence_embedding"))
    report = optimize(given, found)
    assert report.changed
    model = onnx.load(found)
    assert [output.name for output in model.graph.output] == ["token_embeddings", "sentence_embedding"]
    del model.graph.output[0]
    onnx.save(model, tmp_path / "vectors.onnx")
    for file in (found, tmp_path / "vectors.onnx"):
        for against in (source.checkpoint, source.model, found):
            verdict = verify(file, against)
            assert verdict.passed
            assert verdict.cosines is not None
            assert verdict.cosines.least > 1 - 1e-6
