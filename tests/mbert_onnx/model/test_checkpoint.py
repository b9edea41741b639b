"""Loading checkpoints: their source, task and config; the files of weights are in test_weights.py."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from broken_checkpoints import FAULTS, Fault, RunsCode
from small_checkpoints import assert_same_model, put_config, save_small
from small_models import SWITCHES

from mbert_onnx.errors import CheckpointError, UsageError
from mbert_onnx.model import checkpoint as checkpoint_module
from mbert_onnx.model.checkpoint import load_checkpoint, save_checkpoint


@pytest.fixture(scope="session")
def good_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Question answering; to copy, not to change."""
    folder = tmp_path_factory.mktemp("good")
    save_small(folder)
    return folder


# What is wrong with it


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_a_broken_checkpoint_is_refused_in_one_line(fault: Fault, good_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(good_checkpoint, folder)
    load_checkpoint(folder)
    fault.spoil(folder)
    with pytest.raises(CheckpointError, match=fault.says) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert not RunsCode(folder).path.exists()


def test_a_file_is_no_checkpoint(good_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model.safetensors is a file; expected a folder"):
        load_checkpoint(good_checkpoint / "model.safetensors")


def test_an_onnx_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").touch()
    with pytest.raises(CheckpointError, match=r"a\.onnx is an ONNX model, .*: mbert-onnx optimize .*a\.onnx -o FILE"):
        load_checkpoint(str(tmp_path / "a.onnx"))


@pytest.mark.parametrize("name", ["no/such/folder", "/nowhere", "~/x", "a b"])
def test_what_is_not_a_hub_id_is_not_requested(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", pytest.fail)
    with pytest.raises(CheckpointError, match=re.escape(name) + ": no such folder; expected one with config.json"):
        load_checkpoint(name)


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no-such-model", "-x", "..a"])
def test_a_hub_id_that_cannot_be_fetched(name: str) -> None:
    # HF_HUB_OFFLINE is set in conftest.py.
    with pytest.raises(
        CheckpointError, match=f"^{name}: no such folder, and it cannot be downloaded from the hub"
    ) as caught:
        load_checkpoint(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [OSError(), OSError("two\nlines"), huggingface_hub.errors.HFValidationError("x")])
def test_whatever_the_hub_fails_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(CheckpointError, match="it cannot be downloaded from the hub") as caught:
        load_checkpoint("some/model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("RepositoryNotFoundError", "the hub has no such repository, or it is private"),
        ("GatedRepoError", "log in with `hf auth login`, after its terms are accepted on its page"),
        ("LocalEntryNotFoundError", "the hub cannot be reached, and its cache has no copy"),
    ],
)
def test_errors_of_the_hub_are_one_short_sentence(kind: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = getattr(huggingface_hub.errors, kind)

    def fail(*_: Any, **__: Any) -> None:
        raise error.__new__(error, "x" * 290)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint("some/model")
    assert str(caught.value).endswith(f"cannot be downloaded from the hub ({reason})")


def test_what_is_fetched_from_the_hub(good_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, *, allow_patterns: list[str]) -> str:
        assert name == "some/model"
        assert "*.safetensors" in allow_patterns
        return str(good_checkpoint)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    found = load_checkpoint("some/model")
    assert (found.name, found.folder) == ("some/model", good_checkpoint)


# Which task


def test_the_task_is_the_config_s_by_default(good_checkpoint: Path) -> None:
    assert load_checkpoint(good_checkpoint).task.name == "question-answering"
    # A question-answering head has no pooler, and neither has token classification's; the heads differ.
    with pytest.raises(CheckpointError, match=r"missing for MobileBertForTokenClassification"):
        load_checkpoint(good_checkpoint, task="ner")


def test_a_given_task_needs_no_architectures(good_checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(good_checkpoint, tmp_path, dirs_exist_ok=True)
    put_config(tmp_path, architectures=None)
    found = load_checkpoint(tmp_path, task="qa")
    assert found.config.architectures == ["MobileBertForQuestionAnswering"]


@pytest.mark.parametrize("name", ["random:tiny", "no-such-model"])
def test_an_unknown_task_is_reported_first(name: str) -> None:
    with pytest.raises(UsageError, match="No task is called 'qestion-answering'"):
        load_checkpoint(name, task="qestion-answering")


def test_labels_are_kept(tmp_path: Path) -> None:
    labels = {0: "no", 1: "yes", 2: "perhaps"}
    head = "MobileBertForSequenceClassification"
    theirs = save_small(tmp_path, head, num_labels=3, id2label=labels, label2id={v: k for k, v in labels.items()})
    found = load_checkpoint(tmp_path)
    assert found.config.id2label == labels
    assert_same_model(theirs, found.model)


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_switch_is_read_from_the_config(switch: str, tmp_path: Path) -> None:
    theirs = save_small(tmp_path, switch=switch)
    put_config(tmp_path, output_hidden_states=False, output_attentions=False)
    theirs.config.output_hidden_states = theirs.config.output_attentions = False  # type: ignore[union-attr]
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


# Built-in models


def weights(name: str, **options: Any) -> dict[str, torch.Tensor]:
    return load_checkpoint(name, **options).model.state_dict()


def test_seeds_give_different_random_models() -> None:
    first, again, other = (weights("random:tiny", seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_random_models_are_the_paper_s() -> None:
    found = load_checkpoint("random:tiny")
    assert found.task.name == "question-answering"
    assert found.folder is None
    assert "random weights: its answers mean nothing" in found.notes
    assert found.config.use_bottleneck_attention
    gamma = torch.cat([w for name, w in found.model.state_dict().items() if name.endswith("LayerNorm.weight")])
    assert abs(float(gamma.mean()) - 1) < 0.01
    assert 0.15 < float(gamma.std()) < 0.25


def test_random_models_do_any_task() -> None:
    assert load_checkpoint("random:tiny", task="nsp").config.architectures == ["MobileBertForNextSentencePrediction"]


@pytest.mark.parametrize("name", ["random:huge", "random:tiny:1", "random:Tiny"])
def test_an_unknown_built_in_model(name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}'; known: reference, reference:embed, random, random:tiny"):
        load_checkpoint(name)


# Back to transformers


@pytest.mark.parametrize("switch", ["default", "untied"])
@pytest.mark.parametrize("head", ["MobileBertForMaskedLM", "MobileBertForPreTraining", "MobileBertForMultipleChoice"])
def test_what_is_saved_here_is_the_same_model_in_transformers(head: str, switch: str, tmp_path: Path) -> None:
    save_small(tmp_path / "theirs", head, switch)
    ours = load_checkpoint(tmp_path / "theirs")
    (tmp_path / "ours").mkdir()
    save_checkpoint(ours, tmp_path / "ours")
    theirs, info = getattr(transformers, head).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert_same_model(theirs.eval(), ours.model)


def test_the_config_is_saved_as_transformers_reads_it(tmp_path: Path) -> None:
    save_checkpoint(load_checkpoint("random:tiny", task="ner"), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["MobileBertForTokenClassification"]


def test_reading_a_bin_does_not_warn(tmp_path: Path) -> None:
    """torch's warnings about files of old versions are suppressed."""
    theirs = save_small(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    code = f"import sys; from mbert_onnx.model.checkpoint import load_checkpoint; load_checkpoint({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_the_pooler_is_reached_in_every_kind_of_model(tmp_path: Path) -> None:
    save_small(tmp_path, "MobileBertModel")
    assert load_checkpoint(tmp_path).pooler is not None
    assert load_checkpoint("random:tiny", task="nsp").pooler is not None
    assert load_checkpoint("random:tiny", task="qa").pooler is None
    assert checkpoint_module.POOLER in load_checkpoint(tmp_path).model.state_dict()
