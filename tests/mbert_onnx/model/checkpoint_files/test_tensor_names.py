"""Names of tensors: the prefixes of wrappers, and messages about names that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_checkpoints import assert_same_model, put_bin, put_config, put_shards, put_tensors, save_small, tensors_of

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import load_checkpoint

Tensors = dict[str, torch.Tensor]


def renamed(folder: Path, change: Callable[[str], str]) -> Tensors:
    """Returns a checkpoint's tensors under other names."""
    return {change(name): tensor for name, tensor in tensors_of(folder).items()}


STACKS = (
    "module.",
    "_orig_mod.",
    "model.",
    "base_model.model.",
    "student.",
    "_orig_mod.module.",
    "module._orig_mod.model.",
    "0.auto_model.",
    "mobilebert.",
    "encoder.",
    "classifier.",
    "_fsdp_wrapped_module.",
)


@pytest.mark.parametrize("prefix", STACKS)
@pytest.mark.parametrize("head", ["MobileBertForSequenceClassification", "MobileBertForMaskedLM", "MobileBertModel"])
def test_a_prefix_that_all_tensors_share_is_removed(head: str, prefix: str, tmp_path: Path) -> None:
    theirs = save_small(tmp_path, head)
    put_tensors(tmp_path, renamed(tmp_path, lambda name: prefix + name))
    found = load_checkpoint(tmp_path)
    if (head, prefix) == ("MobileBertModel", "mobilebert."):
        assert found.notes == []  # transformers' own prefix
    else:
        count = len(tensors_of(tmp_path))
        assert found.notes == [f"removed the prefix {prefix} that all {count} tensor names have"]
    assert_same_model(theirs, found.model)


@pytest.mark.parametrize("kind", ["safetensors", "bin", "sharded safetensors", "sharded bin", "training"])
def test_a_prefix_in_every_kind_of_file(kind: str, tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    tensors = renamed(tmp_path, lambda name: f"_orig_mod.module.{name}")
    if kind.startswith("sharded"):
        put_shards(tmp_path, tensors, kind.removeprefix("sharded "))
    elif kind == "safetensors":
        put_tensors(tmp_path, tensors)
    else:
        put_bin(tmp_path, {"state_dict": tensors, "epoch": 3} if kind == "training" else tensors)
    found = load_checkpoint(tmp_path)
    assert found.notes[-1].startswith("removed the prefix _orig_mod.module. that all ")
    if kind == "training":
        assert found.notes[0] == "the weights are those under state_dict in pytorch_model.bin"
    assert_same_model(theirs, found.model)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda name: name.replace("mobilebert.", "mobilebert._orig_mod."), "_orig_mod. inside tensor names"),
        (lambda name: name.replace("layer.0.", "layer.0._checkpoint_wrapped_module."), "_checkpoint_wrapped_module. i"),
        (
            # The wrapper hides that all names share a prefix.
            lambda name: "model." + name.replace("mobilebert.", "mobilebert._orig_mod."),
            "_orig_mod. inside tensor names and the prefix model. that all ",
        ),
        (
            lambda name: "model." + name.replace("layer.0.", "layer.0._fsdp_wrapped_module."),
            "the prefix model. that all ",
        ),
    ],
)
def test_wrappers_inside_a_model_are_removed(change: Callable[[str], str], note: str, tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    put_tensors(tmp_path, renamed(tmp_path, change))
    found = load_checkpoint(tmp_path)
    assert len(found.notes) == 1
    assert found.notes[0].startswith(f"removed {note}")
    assert_same_model(theirs, found.model)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda t: {f"model.{name}": tensor for name, tensor in t.items()} | {"loss.weight": torch.ones(2)},
            r"all tensors but loss\.weight begin with model\.; save the model's own state dict$",
        ),
        (
            lambda t: {f"{who}.{name}": tensor.clone() for name, tensor in t.items() for who in ("student", "teacher")},
            r"there are tensors of several models, student\. \(\d+\), teacher\. \(\d+\); save the state dict of one",
        ),
        (
            lambda t: {f"model.{who}{name}": tensor.clone() for name, tensor in t.items() for who in ("", "teacher.")},
            r"there are tensors of several models, model\. \(\d+\), model\.teacher\. \(\d+\); save the state dict of",
        ),
        (
            lambda t: {name.replace("mobilebert.", "model.layers."): tensor for name, tensor in t.items()},
            r"all tensors but qa_outputs\.bias, qa_outputs\.weight begin with model\.layers\.; save the",
        ),
        (
            lambda t: {f"x{number}": tensor for number, tensor in enumerate(t.values())},
            r"no name is one of MobileBERT's, such as mobilebert\.embeddings\.word_embeddings\.weight$",
        ),
        (
            lambda t: t | {"mobilebert.encoder.layer.0.attention.self.query.lora_A.default.weight": torch.ones(2)},
            r"unexpected in .* \(1\): .*lora_A.*; there are weights of a PEFT adapter that is not merged: save what",
        ),
        (
            lambda t: t | {f"extra.{number}": torch.ones(1) for number in range(7)},
            r"unexpected in .* \(7\): extra\.0, extra\.1, extra\.2 and 4 others$",
        ),
        (
            lambda t: {name: torch.ones(1) if "LayerNorm" in name else tensor for name, tensor in t.items()},
            r"of a shape that does not fit config\.json \(\d\d+\): [^,]+ is \[1\], .* and \d\d+ others$",
        ),
    ],
    ids=["loss", "two models", "one inside", "other backbone", "nothing", "adapter", "seven", "shapes"],
)
def test_names_that_do_not_fit_are_reported_briefly(
    change: Callable[[Tensors], Tensors], says: str, tmp_path: Path
) -> None:
    save_small(tmp_path)
    put_tensors(tmp_path, change(tensors_of(tmp_path)))
    with pytest.raises(CheckpointError, match=says) as caught:
        load_checkpoint(tmp_path)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


def test_modules_that_peft_trained_replace_the_original_ones(tmp_path: Path) -> None:
    """As peft leaves them in a merged model of LN_TUNING; those of two adapters are a choice, and refused."""
    theirs = save_small(tmp_path, "MobileBertForSequenceClassification")
    tensors = renamed(tmp_path, lambda name: name.replace("classifier.", "classifier.modules_to_save.default."))
    tensors |= {f"classifier.original_module.{key}": torch.ones(2) for key in ("weight", "bias")}
    put_tensors(tmp_path, tensors)
    found = load_checkpoint(tmp_path)
    assert found.notes == ["removed peft's modules_to_save inside tensor names"]
    assert_same_model(theirs, found.model)
    put_tensors(tmp_path, tensors | {"classifier.modules_to_save.other.weight": torch.ones(2)})
    with pytest.raises(CheckpointError, match=r"there are weights of a PEFT adapter that is not merged"):
        load_checkpoint(tmp_path)


def test_a_prefix_is_not_removed_where_it_makes_names_equal(tmp_path: Path) -> None:
    save_small(tmp_path)
    tensors = tensors_of(tmp_path)
    put_tensors(tmp_path, tensors | {f"_orig_mod.{name}": tensor.clone() for name, tensor in tensors.items()})
    with pytest.raises(CheckpointError, match=r"unexpected in .*: _orig_mod\.mobilebert"):
        load_checkpoint(tmp_path)


def test_a_removed_prefix_is_said_beside_names_that_do_not_fit(tmp_path: Path) -> None:
    save_small(tmp_path)
    put_tensors(tmp_path, renamed(tmp_path, lambda name: f"bert.{name}") | {"bert.extra": torch.ones(1)})
    with pytest.raises(
        CheckpointError, match=r"\(1\): extra \(removed the prefix bert\. that all \d+ tensor names have\)$"
    ):
        load_checkpoint(tmp_path)


def test_missing_tensors_are_few_names_and_a_number(tmp_path: Path) -> None:
    save_small(tmp_path)
    put_config(tmp_path, architectures=["MobileBertForPreTraining"])
    with pytest.raises(
        CheckpointError,
        match=r"missing for MobileBertForPreTraining \(\d+\): cls\.[\w.]+, cls\.[\w.]+, cls\.[\w.]+ and \d+ others; "
        r".*pass the --task that it was trained for$",
    ):
        load_checkpoint(tmp_path)
    tensors = {name: tensor for name, tensor in tensors_of(tmp_path).items() if ".output." not in name}
    put_config(tmp_path, architectures=["MobileBertForQuestionAnswering"])
    put_tensors(tmp_path, tensors)
    with pytest.raises(CheckpointError, match=r"and \d+ others; save the whole model again$"):
        load_checkpoint(tmp_path)


def test_many_names_take_no_time(tmp_path: Path) -> None:
    save_small(tmp_path)
    many = {f"a.{'b.' * 50}{number}": torch.ones(1) for number in range(20_000)}
    put_tensors(tmp_path, tensors_of(tmp_path) | many)
    with pytest.raises(CheckpointError, match=r"unexpected in .* \(20000\): a\.b"):
        load_checkpoint(tmp_path)
