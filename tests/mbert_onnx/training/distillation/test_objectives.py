"""Objectives compared with values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, tensor

from mbert_onnx.training.distillation.objectives.attention_maps import attention_transfer
from mbert_onnx.training.distillation.objectives.feature_maps import (
    feature_map_transfer,
    mean_transfer,
    normalized_feature_map_transfer,
    variance_transfer,
)
from mbert_onnx.training.distillation.objectives.predictions import (
    IGNORED,
    knowledge_distillation,
    masked_language_modeling,
    next_sentence_prediction,
    pretraining_distillation,
    soft_cross_entropy,
)

ONE = tensor([[1]])
# KL((½, ½) ‖ (¼, ¾)) = ½·ln 2 + ½·ln ⅔.
HALF_TO_QUARTER = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)


def test_feature_map_transfer_is_the_mean_square_over_tokens_and_channels() -> None:
    teacher = tensor([[[1.0, 2.0], [3.0, 4.0]]])
    student = tensor([[[0.0, 2.0], [3.0, 2.0]]])
    # (1 + 0)/2 and (0 + 4)/2
    assert feature_map_transfer(teacher, student, tensor([[1, 1]])).item() == pytest.approx(1.25)


def test_padding_is_ignored() -> None:
    teacher = tensor([[[1.0, 2.0], [9.0, 9.0]]])
    student = tensor([[[0.0, 2.0], [0.0, 0.0]]])
    mask = tensor([[1, 0]])
    assert feature_map_transfer(teacher, student, mask).item() == pytest.approx(0.5)
    assert mean_transfer(teacher, student, mask).item() == pytest.approx(0.25)
    assert variance_transfer(teacher, student, mask).item() == pytest.approx(0.75)


def test_normalized_maps_differ_by_direction_only() -> None:
    teacher = tensor([[[1.0, 3.0]]])
    assert normalized_feature_map_transfer(teacher, tensor([[[10.0, 90.0]]]), ONE).item() == pytest.approx(0, abs=1e-4)
    # (−1, 1) against (1, −1)
    assert normalized_feature_map_transfer(teacher, tensor([[[3.0, 1.0]]]), ONE).item() == pytest.approx(4, abs=1e-4)


def test_means_differ_by_a_square_and_variances_by_an_absolute_value() -> None:
    teacher, student = tensor([[[1.0, 3.0]]]), tensor([[[0.0, 4.0]]])
    assert mean_transfer(teacher, student + 1, ONE).item() == pytest.approx(1.0)
    assert variance_transfer(teacher, student, ONE).item() == pytest.approx(3.0)


def test_each_layer_is_compared_with_its_counterpart() -> None:
    # Google's code would compare with the mean over all layers of the teacher: 2 here, not 0.
    layers = [tensor([[[0.0, 0.0]]]), tensor([[[4.0, 4.0]]])]
    assert [mean_transfer(layer, layer, ONE).item() for layer in layers] == [0.0, 0.0]


def test_attention_transfer_is_the_divergence_of_each_head() -> None:
    teacher = tensor([[[[0.5, 0.5]], [[1.0, 0.0]]]])
    student = tensor([[[[0.25, 0.75]], [[1.0, 0.0]]]])
    assert attention_transfer(teacher, student, ONE).item() == pytest.approx(HALF_TO_QUARTER / 2)


def test_attention_transfer_ignores_rows_of_padding() -> None:
    teacher = tensor([[[[0.5, 0.5], [1.0, 0.0]]]])
    student = tensor([[[[0.25, 0.75], [0.01, 0.99]]]])
    assert attention_transfer(teacher, student, tensor([[1, 0]])).item() == pytest.approx(HALF_TO_QUARTER)


def test_zero_attention_to_padding_has_a_finite_gradient() -> None:
    teacher = tensor([[[[1.0, 0.0]]]])
    scores = tensor([[[[2.0, -1e38]]]], requires_grad=True)
    attention_transfer(teacher, scores.softmax(-1), ONE).backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_only_masked_words_have_a_loss() -> None:
    logits = tensor([[[0.0, math.log(3)], [7.0, -7.0]]])
    labels = tensor([[1, IGNORED]])
    assert masked_language_modeling(logits, labels).item() == pytest.approx(-math.log(3 / 4))


def test_knowledge_distillation_is_the_divergence_from_the_teacher() -> None:
    teacher, student = tensor([[[0.0, 0.0], [5.0, 0.0]]]), tensor([[[0.0, math.log(3)], [0.0, 5.0]]])
    labels = tensor([[0, IGNORED]])
    assert knowledge_distillation(teacher, student, labels).item() == pytest.approx(HALF_TO_QUARTER)


def test_the_temperature_divides_both_logits_and_scales_the_loss() -> None:
    # ln 3 halved is the logarithm of √3.
    first, second = 1 / (1 + math.sqrt(3)), math.sqrt(3) / (1 + math.sqrt(3))
    expected = 4 * (0.5 * math.log(0.5 / first) + 0.5 * math.log(0.5 / second))
    assert soft_cross_entropy(tensor([[0.0, 0.0]]), tensor([[0.0, math.log(3)]]), 2.0).item() == pytest.approx(expected)


def test_next_sentence_prediction_is_a_cross_entropy() -> None:
    assert next_sentence_prediction(tensor([[0.0, math.log(3)]]), tensor([0])).item() == pytest.approx(math.log(4))


def test_pretraining_distillation_is_the_weighted_sum() -> None:
    loss = pretraining_distillation(tensor(4.0), tensor(2.0), tensor(1.0), alpha=0.25)
    assert loss.item() == pytest.approx(0.25 * 4 + 0.75 * 2 + 1)


@pytest.mark.parametrize(
    "objective",
    [feature_map_transfer, normalized_feature_map_transfer, mean_transfer, variance_transfer],
    ids=lambda objective: objective.__name__,
)
def test_identical_maps_have_no_loss(objective: object) -> None:
    maps = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    loss: Tensor = objective(maps, maps, torch.ones(2, 3))  # type: ignore[operator]
    assert loss.item() == 0
