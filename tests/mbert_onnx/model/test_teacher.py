"""The teacher: the paper's size, wired as the paper draws it, out of the student's parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MobileBertConfig

from mbert_onnx.errors import CheckpointError, UsageError
from mbert_onnx.model import student
from mbert_onnx.model.checkpoint import Checkpoint, build, load_checkpoint, save_checkpoint
from mbert_onnx.model.presets import PRESETS, initialize, mobilebert_config
from mbert_onnx.model.teacher import TEACHERS, IBBertConfig, teacher_config
from mbert_onnx.text.tasks import PRETRAINING, TEXT_CLASSIFICATION

# Of table 1, and how near ours shall be.
PAPER, NEAR = 293e6, 0.01
SMALL: dict[str, Any] = {"num_hidden_layers": 2, "vocab_size": 100, "max_position_embeddings": 16}


def parameters(config: MobileBertConfig) -> int:
    with torch.device("meta"):
        model = student.MobileBertModel(config, add_pooling_layer=False)
    return sum(parameter.numel() for parameter in model.parameters())


def test_it_has_the_papers_number_of_parameters() -> None:
    assert parameters(teacher_config()) == pytest.approx(PAPER, rel=NEAR)


def test_attention_that_read_the_blocks_own_stream_would_not_have_it() -> None:
    other = teacher_config(use_bottleneck_attention=True)
    assert parameters(other) > PAPER * (1 + 10 * NEAR)


def test_queries_keys_and_values_are_computed_from_the_stream_between_blocks() -> None:
    config = teacher_config("ib-bert-laptop", **SMALL)
    attention = student.Layer(config, config.num_attention_heads).attention.self
    for part in (attention.query, attention.key, attention.value):
        assert part.weight.shape == (384, 256)


@pytest.mark.parametrize("name", TEACHERS)
def test_every_teacher_computes_maps_as_wide_as_its_stream(name: str) -> None:
    config = teacher_config(name, **SMALL)
    with torch.device("meta"):
        model = student.MobileBertModel(config)
        found = model(torch.zeros((2, 5), dtype=torch.long), output_hidden_states=True, output_attentions=True)
    assert [h.shape for h in found.hidden_states] == [(2, 5, config.hidden_size)] * 3
    assert [a.shape for a in found.attentions] == [(2, config.num_attention_heads, 5, 5)] * 2


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("intra-")])
def test_the_ablations_of_the_student_are_about_as_large_as_it_is(name: str) -> None:
    assert parameters(mobilebert_config(name)) == pytest.approx(parameters(mobilebert_config()), rel=0.05)


def test_a_teacher_that_is_none_is_refused_in_a_line() -> None:
    with pytest.raises(UsageError, match="no teacher is called 'large'; known: ib-bert, "):
        teacher_config("large")


def test_a_teacher_is_written_and_read_like_any_checkpoint(tmp_path: Path) -> None:
    config = teacher_config("ib-bert-laptop", **SMALL)
    model = build(config, PRETRAINING, empty=False)
    initialize(model, config, 0)
    config.architectures = [PRETRAINING.architecture]
    save_checkpoint(Checkpoint("teacher", None, config, PRETRAINING, model.eval()), tmp_path)
    read = load_checkpoint(tmp_path)
    assert isinstance(read.config, IBBertConfig)
    ids = torch.arange(10).view(2, 5)
    with torch.no_grad():
        assert torch.equal(model(ids).prediction_logits, read.model(ids).prediction_logits)


def test_a_students_config_still_cannot_be_wired_like_a_teacher(tmp_path: Path) -> None:
    config = mobilebert_config(**SMALL, key_query_shared_bottleneck=False)
    config.architectures = [TEXT_CLASSIFICATION.architecture]
    config.save_pretrained(tmp_path)
    torch.save({"classifier.bias": torch.zeros(2)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="key_query_shared_bottleneck is false"):
        load_checkpoint(tmp_path)
