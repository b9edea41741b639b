"""Loss of the student's task: masked words, sentence vectors, or the teacher's logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from mbert_onnx.model.student import MobileBertForSentenceSimilarity, PretrainingHeads, TaskModel
from mbert_onnx.training.distillation.layer_maps import Maps
from mbert_onnx.training.distillation.layer_pairs import VECTORS
from mbert_onnx.training.distillation.objectives.predictions import (
    IGNORED,
    knowledge_distillation,
    masked_language_modeling,
    next_sentence_prediction,
    pretraining_distillation,
    soft_cross_entropy,
)
from mbert_onnx.training.distillation.objectives.sentence_vectors import similarity_transfer, vector_transfer
from mbert_onnx.training.distillation.teachers.interface import Teacher

# The loss that is minimized, and unweighted objectives by name.
Losses = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True)
class TaskWeights:
    """Weights of the objectives of a task.

    Args:
        alpha: Weight of L_MLM in distillation; L_KD has weight 1 - alpha.
        temperature: Temperature of both distributions of words, or of labels.
        vectors: Weight of the cosine distance of sentence vectors.
        similarities: Weight of the divergence of the similarities within a batch.
        similarity_temperature: Temperature of both distributions of similarities.
    """

    alpha: float = 0.5
    temperature: float = 1.0
    vectors: float = 1.0
    similarities: float = 1.0
    similarity_temperature: float = 0.05


def task_losses(
    student: nn.Module,
    teacher: Teacher | None,
    found: Maps,
    expected: Maps | None,
    batch: dict[str, Tensor],
    weights: TaskWeights,
    maps: nn.ModuleDict,
) -> Losses:
    """Computes the losses of the student's task from the outputs of the last layers.

    Args:
        student: The student; its class decides the task.
        teacher: The teacher, or None.
        found, expected: Maps of student and teacher; their last feature maps are those of the last layers.
        batch: Inputs, and for masked words also `labels` and optionally `next_sentence`.
        weights: Weights.
        maps: Linear maps to the teacher's width; that for sentence vectors is `VECTORS`.
    """
    if isinstance(student, MobileBertForSentenceSimilarity):
        assert teacher is not None
        assert expected is not None
        return _vector_losses(student, teacher, found, expected, batch["attention_mask"], weights, maps)
    assert isinstance(student, TaskModel)
    if isinstance(getattr(student, "cls", None), PretrainingHeads):
        return _word_losses(student, teacher, found, expected, batch, weights)
    assert teacher is not None
    assert expected is not None
    return _logit_losses(student, teacher, found, expected, batch["attention_mask"], weights)


def _vector_losses(
    student: MobileBertForSentenceSimilarity,
    teacher: Teacher,
    found: Maps,
    expected: Maps,
    mask: Tensor,
    weights: TaskWeights,
    maps: nn.ModuleDict,
) -> Losses:
    own = student.pooling(found.features[-1].float(), mask)
    theirs = teacher.vectors(expected.features[-1].float(), mask)
    losses = {}
    total = own.new_zeros(())
    if weights.vectors:
        # A linear map changes the length; without unit length the loss would have no lower bound.
        widened = normalize(maps[VECTORS](own).float(), dim=-1) if VECTORS in maps else own
        losses["vectors"] = vector_transfer(theirs, widened)
        total = total + weights.vectors * losses["vectors"]
    if weights.similarities:
        losses["similarities"] = similarity_transfer(theirs, own, weights.similarity_temperature)
        total = total + weights.similarities * losses["similarities"]
    return total, losses


def _word_losses(
    student: TaskModel,
    teacher: Teacher | None,
    found: Maps,
    expected: Maps | None,
    batch: dict[str, Tensor],
    weights: TaskWeights,
) -> Losses:
    """Computes L_PD, or L_MLM + L_NSP without a teacher that predicts words. Logits: at masked positions only."""
    masked = batch["labels"] != IGNORED
    words = batch["labels"][masked]
    heads = student.cls
    assert isinstance(heads, PretrainingHeads)
    logits = heads.predictions(found.features[-1][masked]).float()
    losses = {"masked_words": masked_language_modeling(logits, words)}
    next_sentence = logits.new_zeros(())
    if "next_sentence" in batch:
        assert student.mobilebert.pooler is not None
        pooled = student.mobilebert.pooler(found.features[-1])
        relation = heads.seq_relationship(pooled).float()
        next_sentence = losses["next_sentence"] = next_sentence_prediction(relation, batch["next_sentence"])
    if expected is None or teacher is None or not teacher.predicts:
        return losses["masked_words"] + next_sentence, losses
    teacher_logits = teacher.predictions(expected.features[-1][masked]).float()
    losses["distillation"] = knowledge_distillation(teacher_logits, logits, words, weights.temperature)
    total = pretraining_distillation(losses["masked_words"], losses["distillation"], next_sentence, weights.alpha)
    return total, losses


def _logit_losses(
    student: TaskModel, teacher: Teacher, found: Maps, expected: Maps, mask: Tensor, weights: TaskWeights
) -> Losses:
    """Computes the divergence of the labels of texts or tokens, or the squared error of a regression."""
    assert isinstance(teacher.model, TaskModel)
    own = _logits(student, found.features[-1])
    with torch.no_grad():
        theirs = _logits(teacher.model, expected.features[-1])
    if own.dim() == 3:
        own, theirs = own[mask.bool()], theirs[mask.bool()]
    is_regression = own.shape[-1] == 1
    loss = mse_loss(own, theirs) if is_regression else soft_cross_entropy(theirs, own, weights.temperature)
    return loss, {"logits": loss}


def _logits(model: TaskModel, hidden: Tensor) -> Tensor:
    """Returns the logits of a classifier of texts ``[batch, labels]``, or of tokens ``[batch, seq, labels]``."""
    batch, seq, _ = hidden.shape
    pooler = model.mobilebert.pooler
    outputs = model.head(hidden.flatten(0, 1), None if pooler is None else pooler(hidden), batch, seq)
    return outputs["logits"].float()
