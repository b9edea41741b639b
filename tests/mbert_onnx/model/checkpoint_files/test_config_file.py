"""config.json: its sizes and labels against the tensors, and the encodings of the file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from small_checkpoints import assert_same_model, put_config, put_tensors, save_small, tensors_of
from small_models import SWITCHES

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.model.checkpoint_files.config_file import POSITIVE, make_config, read_config
from mbert_onnx.text.tasks import QUESTION_ANSWERING

NUMBERS = (10**9, 10**19, 10**900, 0, -1, -(10**9), 2.0, 1e308, math.inf, math.nan)
ABSURD: tuple[Any, ...] = (*NUMBERS, "24", True, [24], {}, None)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Question answering; to read, not to change."""
    folder = tmp_path_factory.mktemp("checkpoint")
    save_small(folder)
    return folder


@pytest.mark.parametrize("key", [*POSITIVE, "num_labels"])
def test_absurd_sizes_are_refused_before_anything_is_built(key: str, checkpoint: Path) -> None:
    """Most would hang, or take all memory."""
    raw, tensors = read_config(checkpoint), tensors_of(checkpoint)
    raw.pop("id2label", None), raw.pop("label2id", None)
    make_config("name", raw, QUESTION_ANSWERING, tensors)
    for value in ABSURD:
        if key == "num_labels" and value is None:
            continue
        with pytest.raises(CheckpointError, match=rf"^name: config\.json .*({key}|heads do not divide)") as caught:
            make_config("name", {**raw, key: value}, QUESTION_ANSWERING, tensors)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("key", [key for key in POSITIVE if key != "num_attention_heads"])  # heads are in no shape
def test_sizes_that_the_tensors_do_not_have_name_the_key(key: str, checkpoint: Path) -> None:
    """Not tensors of the wrong shape, whose list is long."""
    raw, tensors = read_config(checkpoint), tensors_of(checkpoint)
    changed = raw[key] + (-4 if key in ("embedding_size", "intra_bottleneck_size") else 1)
    with pytest.raises(CheckpointError, match=rf"config\.json has {key} = {changed}, but .*; correct it$"):
        make_config("name", {**raw, key: changed}, QUESTION_ANSWERING, tensors)


@pytest.mark.parametrize("switch", SWITCHES)
def test_the_sizes_of_every_switch_fit(switch: str, tmp_path: Path) -> None:
    save_small(tmp_path, switch=switch)
    config, notes = make_config("name", read_config(tmp_path), QUESTION_ANSWERING, tensors_of(tmp_path))
    assert config.num_hidden_layers == 2
    assert notes == []


def test_absurd_numbers_of_layers_without_any_known_name(checkpoint: Path) -> None:
    tensors = {f"x{number}": tensor for number, tensor in enumerate(tensors_of(checkpoint).values())}
    raw = {**read_config(checkpoint), "num_hidden_layers": 60, "num_feedforward_networks": 60}
    with pytest.raises(
        CheckpointError, match=rf"layers = 60 and .*networks = 60, but there are only {len(tensors)} ten"
    ):
        make_config("name", raw, QUESTION_ANSWERING, tensors)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    """PowerShell and Notepad write them."""
    theirs = save_small(tmp_path)
    path = tmp_path / "config.json"
    path.write_bytes(path.read_text().encode(encoding))
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


HEADS = ("MobileBertForSequenceClassification", "MobileBertForTokenClassification")


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    ("changes", "names", "note"),
    [
        ({"id2label": {"1": "a", "2": "b", "3": "c"}}, ("a", "b", "c"), "numbered 1 to 3"),
        ({"id2label": {"1": "a", "2": "b"}, "num_labels": 10**9}, ("LABEL_0", "a", "b"), "called LABEL_0"),
        ({"id2label": {"0": "a", "2": "c"}}, ("a", "LABEL_1", "c"), "called LABEL_1"),
        ({"id2label": ["a", "b", "c"]}, ("a", "b", "c"), None),
        ({"id2label": None, "num_labels": 3}, ("LABEL_0", "LABEL_1", "LABEL_2"), None),
    ],
)
def test_label_maps_are_fitted_to_the_outputs(
    head: str, changes: dict[str, Any], names: tuple[str, ...], note: str | None, tmp_path: Path
) -> None:
    theirs = save_small(tmp_path, head, num_labels=3)
    put_config(tmp_path, label2id=None, **changes)
    found = load_checkpoint(tmp_path)
    assert found.config.id2label == dict(enumerate(names))
    assert found.config.label2id == {label: number for number, label in enumerate(names)}
    assert found.config.num_labels == 3
    assert [note in said for said in found.notes if note] == ([True] if note else [])
    assert_same_model(theirs, found.model)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"id2label": {"a": 0, "b": 1, "c": 2}}, "config.json's id2label has the key 'a', .* label2id, swap the two"),
        ({"id2label": {"0": "a", "1": "b", "2": "c", "3": "d"}}, "4 labels, .* but the model has 3 outputs, 0 to 2"),
        ({"id2label": None, "num_labels": 5}, r"num_labels = 5, but classifier.weight is \[3, 64\]; correct it"),
        ({"id2label": None, "num_labels": 10**9}, r"num_labels = 1000000000, but classifier.weight is \[3, 64\]"),
    ],
)
def test_labels_that_the_classifier_does_not_have(changes: dict[str, Any], error: str, tmp_path: Path) -> None:
    save_small(tmp_path, HEADS[0], num_labels=3)
    put_config(tmp_path, label2id=None, **changes)
    with pytest.raises(CheckpointError, match=error):
        load_checkpoint(tmp_path)


def test_names_of_tensorflow_s_classes(tmp_path: Path) -> None:
    save_small(tmp_path)
    put_config(tmp_path, architectures=["TFMobileBertForQuestionAnswering"])
    assert load_checkpoint(tmp_path).task is QUESTION_ANSWERING


def test_a_tensor_that_is_missing_is_no_matter_of_sizes(tmp_path: Path) -> None:
    save_small(tmp_path)
    name = "mobilebert.embeddings.word_embeddings.weight"
    put_tensors(tmp_path, {key: tensor for key, tensor in tensors_of(tmp_path).items() if key != name})
    with pytest.raises(CheckpointError, match=rf"missing for .* \(1\): {name}; save the whole model again"):
        load_checkpoint(tmp_path)
    put_tensors(tmp_path, {**tensors_of(tmp_path), name: torch.ones(101)})
    with pytest.raises(CheckpointError, match=rf"{name} is \[101\], expected \[101, 24\]"):
        load_checkpoint(tmp_path)
