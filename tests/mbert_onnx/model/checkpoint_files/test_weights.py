"""The files in which checkpoints keep their weights, and the names that tensors have in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from broken_checkpoints import RunsCode
from small_checkpoints import (
    WEIGHTS,
    assert_same_model,
    put_bin,
    put_config,
    put_shards,
    put_tensors,
    save_small,
    tensors_of,
)

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY, TASKS

WORDS = "mobilebert.embeddings.word_embeddings.weight"
DECODER = "cls.predictions.decoder.weight"
BIAS, DECODER_BIAS = "cls.predictions.bias", "cls.predictions.decoder.bias"


# Files


# transformers has no class for sentence similarity.
@pytest.mark.parametrize(
    "task", [task for task in TASKS if task is not SENTENCE_SIMILARITY], ids=lambda task: task.name
)
def test_what_transformers_saves_is_the_same_model_here(task: Any, tmp_path: Path) -> None:
    theirs = save_small(tmp_path, task.architecture)
    found = load_checkpoint(tmp_path)
    assert found.task is task
    assert not found.model.training
    assert {p.dtype for p in found.model.parameters()} == {torch.float32}
    assert_same_model(theirs, found.model)


def test_shards_that_transformers_writes(tmp_path: Path) -> None:
    theirs = save_small(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "parts", max_shard_size="60KB")  # type: ignore[operator]
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 2
    assert_same_model(theirs, load_checkpoint(tmp_path / "parts").model)


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_of_either_kind(kind: str, tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    put_shards(tmp_path, tensors_of(tmp_path), kind)
    assert len(list(tmp_path.glob(f"*-of-00003.{kind}"))) == 3
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


def test_a_pytorch_model_bin(tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    put_bin(tmp_path, theirs.state_dict())
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


def test_a_bin_of_before_zip_files(tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


def test_a_bin_may_hold_parameters(tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    put_bin(tmp_path, {name: torch.nn.Parameter(tensor) for name, tensor in theirs.state_dict().items()})
    found = load_checkpoint(tmp_path).model
    assert not any(parameter.requires_grad for parameter in found.parameters())
    assert_same_model(theirs, found)


def test_safetensors_are_preferred(tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not even a pickle")
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    put_tensors(tmp_path, {name: tensor.to(dtype) for name, tensor in tensors_of(tmp_path).items()})
    found = load_checkpoint(tmp_path).model
    assert {p.dtype for p in found.parameters()} == {torch.float32}
    assert_same_model(theirs.to(dtype).float(), found)


# Names


def test_the_bare_model_in_a_task_checkpoint(tmp_path: Path) -> None:
    theirs = save_small(tmp_path, "MobileBertForSequenceClassification")
    found = load_checkpoint(tmp_path, task="feature-extraction")
    assert found.config.architectures == ["MobileBertModel"]
    assert_same_model(theirs.mobilebert, found.model)  # type: ignore[arg-type]


def test_the_bare_model_in_a_checkpoint_without_pooler_has_none(tmp_path: Path) -> None:
    save_small(tmp_path, "MobileBertForQuestionAnswering")
    theirs = transformers.MobileBertModel.from_pretrained(tmp_path, add_pooling_layer=False).eval()
    found = load_checkpoint(tmp_path, task="feature-extraction")
    assert found.pooler is None
    assert "the checkpoint has no pooler, so there is no pooler_output" in found.notes
    assert_same_model(theirs, found.model)


def test_half_a_pooler_is_missing_tensors(tmp_path: Path) -> None:
    save_small(tmp_path, "MobileBertModel")
    put_tensors(tmp_path, {k: v for k, v in tensors_of(tmp_path).items() if k != "pooler.dense.bias"})
    with pytest.raises(CheckpointError, match=r"missing for MobileBertModel \(1\): pooler.dense.bias"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("task", ["feature-extraction", "text-classification"])
def test_a_pooler_without_weights_needs_none(task: str, tmp_path: Path) -> None:
    theirs: Any = save_small(tmp_path, "MobileBertForSequenceClassification", "raw_pooler")
    found = load_checkpoint(tmp_path, task=task)
    assert found.pooler is not None
    assert_same_model(theirs if task == "text-classification" else theirs.mobilebert, found.model)


def test_a_task_model_in_names_without_prefix(tmp_path: Path) -> None:
    theirs = save_small(tmp_path, "MobileBertForSequenceClassification")
    put_tensors(tmp_path, {k.removeprefix("mobilebert."): v for k, v in tensors_of(tmp_path).items()})
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


def test_a_bare_checkpoint_lacks_a_head_and_says_so(tmp_path: Path) -> None:
    save_small(tmp_path, "MobileBertModel")
    with pytest.raises(
        CheckpointError, match=r"missing for .*ForQuestionAnswering \(2\): qa_outputs\.bias, qa_outputs\.weight; pass"
    ):
        load_checkpoint(tmp_path, task="question-answering")


def test_a_task_checkpoint_serves_every_task_whose_head_it_has(tmp_path: Path) -> None:
    theirs = save_small(tmp_path, "MobileBertForPreTraining")
    for task, architecture in [
        ("fill-mask", "MobileBertForMaskedLM"),
        ("next-sentence-prediction", "MobileBertForNextSentencePrediction"),
        ("feature-extraction", "MobileBertModel"),
    ]:
        theirs.save_pretrained(tmp_path)  # type: ignore[operator]
        expected = getattr(transformers, architecture).from_pretrained(tmp_path).eval()
        assert_same_model(expected, load_checkpoint(tmp_path, task=task).model)


def test_what_is_left_out_is_reported(tmp_path: Path) -> None:
    save_small(tmp_path, "MobileBertForPreTraining")
    assert load_checkpoint(tmp_path).notes == []
    assert load_checkpoint(tmp_path, task="fill-mask").notes == [
        "left out, since fill-mask does not read it: cls.seq_relationship, pooler"
    ]
    assert load_checkpoint(tmp_path, task="feature-extraction").notes == [
        "left out, since feature-extraction does not read it: cls.predictions, cls.seq_relationship"
    ]


def test_a_pooler_that_a_task_does_not_read_may_be_there(tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    tensors = tensors_of(tmp_path)
    tensors |= {"mobilebert.pooler.dense.weight": torch.ones(64, 64), "mobilebert.pooler.dense.bias": torch.ones(64)}
    put_tensors(tmp_path, tensors)
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


def test_names_of_tensorflow_s_layer_normalization(tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {re.sub(r"LayerNorm\.\w+", lambda m: old[m.group()], name): t for name, t in tensors_of(tmp_path).items()}
    assert any(name.endswith("gamma") for name in renamed)
    put_tensors(tmp_path, renamed)
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


@pytest.mark.parametrize(
    ("head", "prefix"), [("MobileBertForQuestionAnswering", "mobilebert."), ("MobileBertModel", "")]
)
def test_the_position_ids_that_transformers_once_stored(head: str, prefix: str, tmp_path: Path) -> None:
    theirs = save_small(tmp_path, head)
    ids = {f"{prefix}embeddings.position_ids": torch.arange(40).view(1, -1)}
    put_tensors(tmp_path, tensors_of(tmp_path) | ids)
    found = load_checkpoint(tmp_path)
    assert found.notes == []  # not worth a note
    assert_same_model(theirs, found.model)


@pytest.mark.parametrize("switch", ["bottleneck_attention", "bottleneck_attention_unshared"])
def test_a_shared_bottleneck_that_nothing_reads_may_be_there(switch: str, tmp_path: Path) -> None:
    theirs = save_small(tmp_path, switch=switch)
    unused = {f"mobilebert.encoder.layer.{n}.bottleneck.attention.dense.bias": torch.ones(32) for n in range(2)}
    assert (unused.keys() <= tensors_of(tmp_path).keys()) == (switch == "bottleneck_attention")
    put_tensors(tmp_path, tensors_of(tmp_path) | unused)
    found = load_checkpoint(tmp_path)
    assert not any("encoder" in note.split(": ")[1].split(", ") for note in found.notes)
    assert_same_model(theirs, found.model)


def test_a_shared_bottleneck_that_is_read_is_not_left_out(tmp_path: Path) -> None:
    save_small(tmp_path, hidden_size=32)
    put_config(tmp_path, key_query_shared_bottleneck=False)
    with pytest.raises(CheckpointError, match=r"unexpected.*bottleneck\.attention\.dense\.bias"):
        load_checkpoint(tmp_path)


# The decoder, which may be the word embeddings


LM_HEADS = ("MobileBertForMaskedLM", "MobileBertForPreTraining")


@pytest.mark.parametrize("head", LM_HEADS)
def test_a_tied_decoder_is_stored_once_and_shared(head: str, tmp_path: Path) -> None:
    theirs = save_small(tmp_path, head)
    tensors = tensors_of(tmp_path)
    put_tensors(tmp_path, {k: v for k, v in tensors.items() if k not in (DECODER, DECODER_BIAS)})
    found: Any = load_checkpoint(tmp_path).model
    assert found.cls.predictions.decoder.weight is found.mobilebert.embeddings.word_embeddings.weight
    assert found.cls.predictions.decoder.bias is found.cls.predictions.bias
    assert_same_model(theirs, found)


def test_a_tied_decoder_that_is_stored_twice(tmp_path: Path) -> None:
    theirs = save_small(tmp_path, "MobileBertForMaskedLM")
    tensors = tensors_of(tmp_path)
    bias = tensors.get(BIAS, tensors.get(DECODER_BIAS))
    assert bias is not None
    again = {DECODER: tensors[WORDS].clone(), BIAS: bias.clone(), DECODER_BIAS: bias.clone()}
    put_tensors(tmp_path, tensors | again)
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


@pytest.mark.parametrize("head", LM_HEADS)
def test_a_tied_decoder_of_its_own_numbers_is_not_read(head: str, tmp_path: Path) -> None:
    theirs = save_small(tmp_path, head)
    tensors = tensors_of(tmp_path)
    put_tensors(tmp_path, tensors | {DECODER: torch.randn_like(tensors[WORDS])})
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


def test_a_bias_that_is_stored_under_the_decoder_only(tmp_path: Path) -> None:
    theirs = save_small(tmp_path, "MobileBertForMaskedLM")
    tensors = tensors_of(tmp_path)
    bias = tensors.pop(BIAS, None)
    tensors.setdefault(DECODER_BIAS, bias)  # type: ignore[arg-type]
    put_tensors(tmp_path, tensors)
    assert_same_model(theirs, load_checkpoint(tmp_path).model)


@pytest.mark.parametrize("head", LM_HEADS)
def test_an_untied_decoder_keeps_its_own_weights(head: str, tmp_path: Path) -> None:
    theirs: Any = save_small(tmp_path, head, "untied")
    found: Any = load_checkpoint(tmp_path).model
    assert not torch.equal(theirs.cls.predictions.decoder.weight, theirs.mobilebert.embeddings.word_embeddings.weight)
    assert torch.equal(found.cls.predictions.decoder.weight, theirs.cls.predictions.decoder.weight)
    assert_same_model(theirs, found)


@pytest.mark.parametrize(("switch", "read"), [("untied", DECODER_BIAS), ("default", BIAS)])
def test_of_two_biases_the_one_that_transformers_reads(switch: str, read: str, tmp_path: Path) -> None:
    """Its version 5 lets go of the decoder's bias where `tie_word_embeddings` is off."""
    save_small(tmp_path, "MobileBertForMaskedLM", switch)
    biases = {BIAS: torch.randn(101), DECODER_BIAS: torch.randn(101)}
    put_tensors(tmp_path, tensors_of(tmp_path) | biases)
    found: Any = load_checkpoint(tmp_path).model
    assert torch.equal(found.cls.predictions.decoder.bias, biases[read])


# Tensors that do not fit


def test_each_missing_tensor_is_listed(tmp_path: Path) -> None:
    save_small(tmp_path)
    gone = ["mobilebert.embeddings.LayerNorm.bias", "mobilebert.encoder.layer.1.attention.self.key.weight"]
    put_tensors(tmp_path, {k: v for k, v in tensors_of(tmp_path).items() if k not in gone})
    with pytest.raises(CheckpointError, match=rf"missing for .* \(2\): {', '.join(map(re.escape, gone))};"):
        load_checkpoint(tmp_path)


def test_each_unexpected_tensor_is_listed(tmp_path: Path) -> None:
    save_small(tmp_path)
    more = ["adapter.weight", "mobilebert.encoder.layer.2.output.dense.bias"]
    put_tensors(tmp_path, tensors_of(tmp_path) | {name: torch.ones(2) for name in more})
    with pytest.raises(CheckpointError, match=rf"unexpected in .* \(2\): {', '.join(map(re.escape, more))}$"):
        load_checkpoint(tmp_path)


def test_names_are_listed_in_one_line(tmp_path: Path) -> None:
    save_small(tmp_path)
    put_tensors(tmp_path, tensors_of(tmp_path) | {"two\nlines": torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"unexpected in .* \(1\): 'two\\nlines'$"):
        load_checkpoint(tmp_path)


def test_a_tensor_too_many_in_the_task_s_own_head_is_unexpected(tmp_path: Path) -> None:
    save_small(tmp_path, "MobileBertForSequenceClassification")
    put_tensors(tmp_path, tensors_of(tmp_path) | {"classifier.scale": torch.ones(2)})
    with pytest.raises(CheckpointError, match=r"unexpected in .* \(1\): classifier\.scale"):
        load_checkpoint(tmp_path)


def test_each_wrong_shape_is_listed_with_the_expected_one(tmp_path: Path) -> None:
    save_small(tmp_path)
    tensors = tensors_of(tmp_path)
    tensors["qa_outputs.bias"] = torch.ones(5)
    tensors["mobilebert.embeddings.LayerNorm.bias"] = torch.ones(64, 1)
    put_tensors(tmp_path, tensors)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path)
    assert "qa_outputs.bias is [5], expected [2]" in str(caught.value)
    assert "mobilebert.embeddings.LayerNorm.bias is [64, 1], expected [64]" in str(caught.value)


def test_missing_unexpected_and_wrong_are_reported_together(tmp_path: Path) -> None:
    save_small(tmp_path)
    tensors = tensors_of(tmp_path) | {"adapter": torch.ones(1), "mobilebert.embeddings.LayerNorm.bias": torch.ones(1)}
    del tensors["qa_outputs.bias"]
    put_tensors(tmp_path, tensors)
    with pytest.raises(
        CheckpointError,
        match=r"missing .*: qa_outputs.bias; .*unexpected .*: adapter; .*shape .*: mobilebert.*LayerNorm.bias",
    ):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(("value", "count"), [(float("nan"), 3), (float("inf"), 1), (float("-inf"), 2)])
def test_weights_that_are_not_finite_are_counted(value: float, count: int, tmp_path: Path) -> None:
    save_small(tmp_path)
    tensors = tensors_of(tmp_path)
    tensors[WORDS].view(-1)[5 : 5 + count] = value
    put_tensors(tmp_path, tensors)
    with pytest.raises(CheckpointError, match=rf"{WORDS} has {count} of {101 * 24} values NaN or infinite"):
        load_checkpoint(tmp_path)


def test_a_float64_weight_beyond_float32_is_refused(tmp_path: Path) -> None:
    save_small(tmp_path)
    tensors = {name: tensor.double() for name, tensor in tensors_of(tmp_path).items()}
    tensors[WORDS][0, 0] = 1e300
    put_tensors(tmp_path, tensors)
    with pytest.raises(CheckpointError, match="1 of 2424 values NaN or infinite"):
        load_checkpoint(tmp_path)


def test_int8_weights_are_refused(tmp_path: Path) -> None:
    save_small(tmp_path)
    put_tensors(tmp_path, tensors_of(tmp_path) | {WORDS: torch.ones(101, 24, dtype=torch.int8)})
    with pytest.raises(CheckpointError, match=r"is torch.int8, expected floating point; quantized"):
        load_checkpoint(tmp_path)


def test_the_pickle_that_must_not_be_loaded_is_dangerous(tmp_path: Path) -> None:
    """Control: the pickle does run code. test_checkpoint.py tests that it is not loaded."""
    torch.save(RunsCode(tmp_path), tmp_path / "x.bin")
    torch.load(tmp_path / "x.bin", weights_only=False)
    assert RunsCode(tmp_path).path.exists()


def complaint(folder: Path) -> str | None:
    """Returns the message of the error that loading raises; None for no error."""
    try:
        load_checkpoint(folder)
    except CheckpointError as error:
        return str(error)
    return None


@pytest.mark.parametrize("zipped", [True, False])
def test_damage_anywhere_in_a_bin_is_one_line(zipped: bool, tmp_path: Path) -> None:
    """Wherever the damage is: zip, opcodes, names, sizes."""
    model = save_small(tmp_path, "MobileBertModel", num_hidden_layers=1)
    (tmp_path / WEIGHTS).unlink()
    path = tmp_path / "pytorch_model.bin"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    complaints = []
    for place in torch.randint(0, 4000, (60,), generator=torch.Generator().manual_seed(0)).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        complaints.append(complaint(tmp_path))
    assert not any("\n" in said for said in complaints if said)
    assert sum(said is not None for said in complaints) > 20
