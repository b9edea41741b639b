"""Losses of the tasks of students: sentence vectors and their similarities, labels, and layers of the teacher."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mbert_onnx.errors import UsageError
from mbert_onnx.model.presets import initialize, mobilebert_config
from mbert_onnx.model.student import (
    MobileBertForPreTraining,
    MobileBertForSentenceSimilarity,
    MobileBertForSequenceClassification,
    MobileBertForTokenClassification,
)
from mbert_onnx.training.distillation.layer_pairs import VECTORS, width_maps
from mbert_onnx.training.distillation.loss import ObjectiveWeights, StageLoss
from mbert_onnx.training.distillation.objectives.sentence_vectors import similarity_transfer, vector_transfer
from mbert_onnx.training.distillation.shortening import kept_layers, shortened
from mbert_onnx.training.distillation.strategies import Stage, stages_of
from mbert_onnx.training.distillation.teachers.mobilebert import MobileBertTeacher

SIZES = {"vocab_size": 50, "embedding_size": 8, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
BLOCK = {"intra_bottleneck_size": 8, "intermediate_size": 16, "max_position_embeddings": 12}
WEIGHTS = ObjectiveWeights(attention=0.0, relations=0.0, vectors=2.0, similarities=3.0)


def model_of(kind: type[nn.Module], seed: int = 1, **changes: int) -> nn.Module:
    config = mobilebert_config("mobilebert", **{**SIZES, **BLOCK, **changes})
    model = kind(config)
    initialize(model, config, seed)
    return model.eval()


def batch() -> dict[str, Tensor]:
    ids = torch.randint(5, 50, (3, 7), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


def stage_of(strategy: str, layers: int = 3, *, last: bool = True, steps: int = 1) -> Stage:
    return stages_of(strategy, layers=layers, transfer_steps=steps, distillation_steps=1)[-1 if last else 0]


def test_vectors_are_compared_by_direction() -> None:
    ours, theirs = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert float(vector_transfer(theirs, ours)) == pytest.approx(1 - (1 + math.sqrt(0.5)) / 2)
    assert float(vector_transfer(theirs, 7 * theirs)) == pytest.approx(0, abs=1e-6)


def test_similarities_are_distributions_over_the_other_sentences() -> None:
    # Cosines to the others: 0.8 and 0 against 0 and 0.6, for one of three sentences.
    theirs = normalize(torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [0, 0, 1]]), dim=-1)
    ours = normalize(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.6, 0, 0.8]]), dim=-1)
    expected = 0.0
    for number in range(3):
        p, q = (
            torch.stack([vectors[number] @ vectors[other] for other in range(3) if other != number]).mul(2).softmax(0)
            for vectors in (theirs, ours)
        )
        expected += float((p * (p / q).log()).sum()) / 3
    assert float(similarity_transfer(theirs, ours, 0.5)) == pytest.approx(expected, rel=1e-5)
    rotated = theirs @ torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0))).Q
    assert float(similarity_transfer(theirs, rotated, 0.05)) == pytest.approx(0, abs=1e-5)
    assert float(similarity_transfer(theirs[:1], ours[:1], 0.05)) == 0


@pytest.mark.parametrize("width", [16, 24])
def test_gradients_of_sentence_vectors_reach_the_student_alone(width: int) -> None:
    own, theirs = (
        model_of(MobileBertForSentenceSimilarity),
        model_of(MobileBertForPreTraining, seed=3, hidden_size=width),
    )
    maps = width_maps({0: 0, 1: 1, 2: 2}, 16, width, vectors=True)
    assert (VECTORS in maps) == (width != 16)
    module = StageLoss(own, MobileBertTeacher(theirs), stage_of("progressive", steps=3), WEIGHTS, maps=maps)
    found = module(batch())
    assert {*found} == {"loss", "vectors", "similarities"}
    total, vectors, similarities = (float(found[name].detach()) for name in ("loss", "vectors", "similarities"))
    assert total == pytest.approx(2 * vectors + 3 * similarities)
    found["loss"].backward()
    assert all(parameter.grad is None for parameter in theirs.parameters())
    without = {name for name, p in own.named_parameters() if p.grad is None or not bool(p.grad.any())}
    assert all(name.endswith("attention.self.key.bias") for name in without)
    assert width == 16 or maps[VECTORS].weight.grad is not None
    if width != 16:  # a longer vector of the same direction is not nearer
        with torch.no_grad():
            for parameter in maps[VECTORS].parameters():
                parameter.mul_(100)
        again = module(batch())
        assert float(again["vectors"]) == pytest.approx(float(found["vectors"]), abs=1e-5)


@pytest.mark.parametrize(
    "kind",
    [MobileBertForSentenceSimilarity, MobileBertForSequenceClassification, MobileBertForTokenClassification],
)
def test_a_student_equal_to_its_teacher_has_no_loss(kind: type[nn.Module]) -> None:
    model = model_of(kind)
    stage = stage_of("auxiliary")
    found = StageLoss(model_of(kind), MobileBertTeacher(model), stage, ObjectiveWeights())(batch())
    assert len(found) > 3
    assert all(float(value.detach()) == pytest.approx(0, abs=1e-6) for value in found.values())


@pytest.mark.parametrize("kind", [MobileBertForSequenceClassification, MobileBertForTokenClassification])
def test_labels_are_learnt_with_their_head(kind: type[nn.Module]) -> None:
    own = model_of(kind)
    module = StageLoss(own, MobileBertTeacher(model_of(kind, seed=2)), stage_of("shorten"), ObjectiveWeights())
    found = module(batch())
    assert {*found} == {"loss", "logits"}
    found["loss"].backward()
    assert own.classifier.weight.grad is not None  # type: ignore[union-attr]
    padded = {**batch(), "input_ids": batch()["input_ids"] * batch()["attention_mask"]}
    assert float(module(padded)["loss"].detach()) == pytest.approx(float(found["loss"].detach()), rel=0.2)


def test_a_regression_is_compared_by_its_squared_error() -> None:
    kind = MobileBertForSequenceClassification
    own, theirs = model_of(kind, num_labels=1), model_of(kind, seed=2, num_labels=1)
    found = StageLoss(own, MobileBertTeacher(theirs), stage_of("shorten"), ObjectiveWeights())(batch())
    inputs = {key: batch()[key] for key in ("input_ids", "attention_mask", "token_type_ids")}
    with torch.no_grad():
        difference = own(**inputs).logits - theirs(**inputs).logits
    assert float(found["loss"].detach()) == pytest.approx(float(difference.square().mean()), rel=1e-5)


@pytest.mark.parametrize("kept", [(0, 1), (0, 2), (2,)])
def test_a_shorter_student_keeps_the_layers_of_its_teacher(kept: tuple[int, ...]) -> None:
    whole = model_of(MobileBertForSequenceClassification, num_labels=3)
    short = shortened(whole, kept)
    assert short.config.num_hidden_layers == short.mobilebert.config.num_hidden_layers == len(kept)  # type: ignore[union-attr]
    assert whole.config.num_hidden_layers == 3  # type: ignore[union-attr]
    inputs = {key: batch()[key] for key in ("input_ids", "attention_mask", "token_type_ids")}
    with torch.no_grad():
        theirs, own = (model(**inputs, output_hidden_states=True).hidden_states for model in (whole, short))
    equal = [torch.equal(a, b) for a, b in zip(theirs, own, strict=False)]
    first = next((place for place, layer in enumerate(kept) if place != layer), len(kept))
    assert equal[: first + 1] == [True] * (first + 1)
    assert not any(equal[first + 1 :])
    assert len(own) == len(kept) + 1
    names = {
        f"mobilebert.encoder.layer.{place}.": f"mobilebert.encoder.layer.{layer}." for place, layer in enumerate(kept)
    }
    theirs_by_name = dict(whole.named_parameters())
    for name, parameter in short.named_parameters():
        source = next((name.replace(a, b) for a, b in names.items() if name.startswith(a)), name)
        assert torch.equal(parameter, theirs_by_name[source])
        assert parameter.requires_grad


def test_a_student_with_the_first_layers_begins_as_its_teacher() -> None:
    whole = model_of(MobileBertForPreTraining)
    stage = stages_of("shorten", layers=2, transfer_steps=1, distillation_steps=1)[0]
    pairs = {1: 1}
    found = StageLoss(shortened(whole, (0, 1)), MobileBertTeacher(whole), stage, ObjectiveWeights(), pairs=pairs)(
        batch()
    )
    assert float(found["loss"].detach()) == pytest.approx(0, abs=1e-6)
    assert {name for name, _ in shortened(whole, (0,)).named_parameters() if stage.rate(name) == 0} >= {
        "mobilebert.embeddings.word_embeddings.weight",
        "cls.predictions.bias",
    }


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (3, "keeps all 3 layers of the teacher; give fewer"),
        (4, "student.layers is 4, but the teacher has 3 layers; give fewer than 3"),
        ([0, 3], r"student.layers is \[0, 3\], but the teacher has 3 layers, 0 to 2; give"),
        ([1, 1], r"student.layers is \[1, 1\]; expected ascending numbers"),
        ([], r"student.layers is \[\]; expected ascending numbers"),
    ],
)
def test_layers_that_cannot_be_kept_are_refused(layers: int | list[int], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        kept_layers(layers, 3)
    assert kept_layers(2, 3) == (0, 1)
