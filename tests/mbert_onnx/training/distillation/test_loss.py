"""Losses of a stage, the parameters that they train, and the initialization from the teacher."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mbert_onnx.errors import TrainingError
from mbert_onnx.model.presets import initialize, mobilebert_config
from mbert_onnx.model.student import MobileBertForPreTraining
from mbert_onnx.model.teacher import teacher_config
from mbert_onnx.training.distillation.initialization import (
    check_positions,
    copy_shared_weights,
    fit_normalization,
    shares_shape,
)
from mbert_onnx.training.distillation.layer_maps import maps_of
from mbert_onnx.training.distillation.loss import ObjectiveWeights, StageLoss
from mbert_onnx.training.distillation.strategies import STRATEGIES, Stage, stages_of
from mbert_onnx.training.distillation.teachers.mobilebert import MobileBertTeacher

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "embedding_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 12,
}
ALL = ObjectiveWeights(normalized_feature_maps=1.0, means=1.0, variances=1.0)


def teacher(**changes: Any) -> MobileBertForPreTraining:
    config = teacher_config(**{**SIZES, "intra_bottleneck_size": 24, "intermediate_size": 32, **changes})
    return build(config, 0)


def student(**changes: Any) -> MobileBertForPreTraining:
    config = mobilebert_config(**{**SIZES, "intra_bottleneck_size": 8, "intermediate_size": 16, **changes})
    return build(config, 1)


def build(config: Any, seed: int) -> MobileBertForPreTraining:
    model = MobileBertForPreTraining(config)
    initialize(model, config, seed)
    return model.eval()


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(5, 50, (3, 7), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    labels = torch.full_like(ids, -100)
    labels[:, 2] = ids[:, 2]
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(ids),
        "labels": labels,
        "next_sentence": torch.tensor([0, 1, 0]),
    }


def stages(strategy: str, **changes: Any) -> list[Stage]:
    return stages_of(strategy, layers=3, transfer_steps=3, distillation_steps=1, **changes)


def test_maps_of_teacher_and_student_have_equal_shapes() -> None:
    found = {}
    for name, model in {"teacher": teacher(), "student": student()}.items():
        feed = batch()
        inputs = feed["input_ids"], feed["attention_mask"], feed["token_type_ids"]
        found[name] = maps_of(model.mobilebert, *inputs, depth=3)
        assert [h.shape for h in found[name].features] == [(3, 7, 16)] * 3
        assert [a.shape for a in found[name].attentions] == [(3, 2, 7, 7)] * 3


def test_maps_equal_those_of_the_model() -> None:
    model, feed = student(), batch()
    inputs = feed["input_ids"], feed["attention_mask"], feed["token_type_ids"]
    with torch.no_grad():
        whole = model.mobilebert(*inputs, output_hidden_states=True, output_attentions=True)
        found = maps_of(model.mobilebert, *inputs, depth=2)
    for layer in range(2):
        assert torch.equal(found.features[layer], whole.hidden_states[layer + 1])
        assert torch.equal(found.attentions[layer], whole.attentions[layer])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("lower_rate", [0.0, 0.1])
def test_gradients_reach_exactly_the_parameters_of_a_stage(strategy: str, lower_rate: float) -> None:
    for stage in stages(strategy, lower_rate=lower_rate):
        own, theirs = student(), teacher()
        module = StageLoss(own, MobileBertTeacher(theirs), stage, ALL)
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(stage.rate(name) > 0)
        module(batch())["loss"].backward()
        assert all(parameter.grad is None for parameter in theirs.parameters())
        reached = {name for name, p in module.named_parameters() if p.grad is not None and bool(p.grad.any())}
        wanted = {name for name, _ in module.named_parameters() if stage.rate(name) > 0}
        # The key bias adds the same value to every score of a row, which softmax cancels.
        without = {name for name in wanted if name.endswith("attention.self.key.bias")}
        assert reached - without == wanted - without


def test_the_teacher_is_not_in_the_state_of_the_module() -> None:
    module = StageLoss(student(), MobileBertTeacher(teacher()), stages("joint")[0], ALL)
    assert {name.split(".")[0] for name in module.state_dict()} == {"student"}


@pytest.mark.parametrize("strategy", ["progressive", "joint", "auxiliary"])
def test_an_identical_student_has_zero_transfer_loss(strategy: str) -> None:
    theirs = teacher()
    for stage in stages(strategy):
        losses = StageLoss(theirs, MobileBertTeacher(teacher()), stage, ALL)(batch())
        for name in ("feature_maps", "normalized_feature_maps", "means", "variances", "attention", "distillation"):
            assert losses.get(name, torch.tensor(0.0)).item() == pytest.approx(0, abs=1e-6)


def test_losses_are_weighted_and_summed_over_layers() -> None:
    own, theirs = student(), teacher()
    joint = stages("joint")[0]
    weights = ObjectiveWeights(feature_maps=2.0, attention=3.0)
    together = StageLoss(own, MobileBertTeacher(theirs), joint, weights)(batch())
    assert together["loss"].item() == pytest.approx(
        2 * together["feature_maps"].item() + 3 * together["attention"].item()
    )
    single = [
        StageLoss(own, MobileBertTeacher(theirs), stage, weights)(batch())["loss"].item()
        for stage in stages("progressive")[:3]
    ]
    assert together["loss"].item() == pytest.approx(sum(single), rel=1e-5)


def test_distillation_weights_words_and_teacher_distribution() -> None:
    stage = stages("joint")[-1]
    losses = StageLoss(student(), MobileBertTeacher(teacher()), stage, ObjectiveWeights(alpha=0.25))(batch())
    expected = 0.25 * losses["masked_words"] + 0.75 * losses["distillation"] + losses["next_sentence"]
    assert losses["loss"].item() == pytest.approx(expected.item())


def test_without_next_sentence_labels_there_is_no_such_loss() -> None:
    feed = {name: values for name, values in batch().items() if name != "next_sentence"}
    losses = StageLoss(student(), None, stages("none")[0], ALL)(feed)
    assert sorted(losses) == ["loss", "masked_words"]
    assert losses["loss"] == losses["masked_words"]


def test_embeddings_and_heads_are_copied_from_the_teacher() -> None:
    own, theirs = student(max_position_embeddings=10), teacher()
    copied = copy_shared_weights(theirs, own)
    assert any("word_embeddings" in name for name in copied)
    assert not any("encoder" in name for name in copied)
    source = dict(theirs.named_parameters())
    for name, parameter in own.named_parameters():
        if ".encoder." not in name:
            assert torch.equal(parameter, source[name][: len(parameter)]), name


def test_the_fitted_normalization_is_optimal() -> None:
    own, theirs = student(), teacher()
    copy_shared_weights(theirs, own)
    feed = batch()

    def distance() -> float:
        with torch.no_grad():
            ids, types = feed["input_ids"], feed["token_type_ids"]
            real = feed["attention_mask"].flatten().bool()
            first, second = theirs.mobilebert.embeddings(ids, types), own.mobilebert.embeddings(ids, types)
            return float((first - second)[real].square().mean())

    copied = distance()
    fit_normalization(theirs, own, [feed])
    fitted = distance()
    assert fitted < copied / 2
    for parameter in own.mobilebert.embeddings.LayerNorm.parameters():
        with torch.no_grad():
            kept = parameter.clone()
            for change in (0.01, -0.01):
                parameter[3] = kept[3] + change
                assert distance() > fitted
            parameter.copy_(kept)


def test_a_student_with_layer_normalization_keeps_the_copied_weights() -> None:
    own, theirs = student(normalization_type="layer_norm"), teacher()
    copy_shared_weights(theirs, own)
    fit_normalization(theirs, own, [batch()])
    name = "mobilebert.embeddings.LayerNorm.weight"
    assert torch.equal(own.get_parameter(name), theirs.get_parameter(name))


@pytest.mark.parametrize(
    ("changes", "equal"),
    [
        ({}, True),
        ({"max_position_embeddings": 10}, True),
        ({"hidden_size": 20}, False),
        ({"num_hidden_layers": 2}, False),
        ({"num_attention_heads": 4}, False),
        ({"vocab_size": 60}, False),
    ],
)
def test_weights_are_copied_between_equal_shapes_alone(changes: dict[str, Any], equal: bool) -> None:
    assert shares_shape(MobileBertTeacher(teacher()), student(**changes)) is equal


def test_a_student_with_more_positions_than_the_teacher_is_refused() -> None:
    with pytest.raises(TrainingError, match="the student has 20 positions, the teacher 12; give max_position_embedd"):
        check_positions(MobileBertTeacher(teacher()), student(max_position_embeddings=20))
