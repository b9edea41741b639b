"""Loss of a stage as a module: computes the losses of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mbert_onnx.model.student import MobileBertForPreTraining
from mbert_onnx.training.distillation.attention_maps import attention_transfer
from mbert_onnx.training.distillation.feature_maps import (
    feature_map_transfer,
    mean_transfer,
    normalized_feature_map_transfer,
    variance_transfer,
)
from mbert_onnx.training.distillation.layer_maps import Maps, maps_of
from mbert_onnx.training.distillation.predictions import (
    IGNORED,
    knowledge_distillation,
    masked_language_modeling,
    next_sentence_prediction,
    pretraining_distillation,
)
from mbert_onnx.training.distillation.strategies import Stage


@dataclass(frozen=True)
class ObjectiveWeights:
    """Weights of the objectives.

    Args:
        feature_maps: Weight of L_FMT.
        normalized_feature_maps, means, variances: Weights of its parts.
        attention: Weight of L_AT.
        alpha: Weight of L_MLM in distillation; L_KD has weight 1 - alpha.
        temperature: Temperature of both distributions in L_KD.
    """

    feature_maps: float = 1.0
    normalized_feature_maps: float = 0.0
    means: float = 0.0
    variances: float = 0.0
    attention: float = 1.0
    alpha: float = 0.5
    temperature: float = 1.0


class StageLoss(nn.Module):
    """Loss of a stage.

    Args:
        student: The model that is trained.
        teacher: The frozen teacher, or None. It is not registered as a sub-module, so that accelerate neither trains,
            saves nor synchronizes it.
        stage: The stage, which names the objectives.
        weights: Weights of the objectives.
    """

    def __init__(
        self,
        student: MobileBertForPreTraining,
        teacher: MobileBertForPreTraining | None,
        stage: Stage,
        weights: ObjectiveWeights,
    ) -> None:
        super().__init__()
        self.student = student
        self._teacher = (None if teacher is None else teacher.eval().requires_grad_(False),)
        self._stage, self._weights = stage, weights

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns `loss` and each unweighted objective by name; layer objectives are summed over layers.

        The batch has `input_ids`, `attention_mask`, `token_type_ids` and `labels` ``[batch, seq]``, and
        `next_sentence` ``[batch]`` if next-sentence prediction is trained.
        """
        inputs = batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]
        found = maps_of(self.student.mobilebert, *inputs, self._stage.depth)
        expected = None
        [teacher] = self._teacher
        if teacher is not None and self._stage.teaches:
            with torch.no_grad():
                expected = maps_of(teacher.mobilebert, *inputs, self._stage.depth)
        losses: dict[str, Tensor] = {}
        total = found.features[-1].new_zeros((), dtype=torch.float32)
        if expected is not None and self._stage.layers:
            total = total + self._layers(losses, expected, found, batch["attention_mask"])
        if self._stage.predicts:
            total = total + self._predictions(losses, expected, found, batch)
        return {"loss": total, **losses}

    def _layers(self, losses: dict[str, Tensor], expected: Maps, found: Maps, mask: Tensor) -> Tensor:
        weights, layers = self._weights, self._stage.layers
        features = {
            "feature_maps": (weights.feature_maps, feature_map_transfer),
            "normalized_feature_maps": (weights.normalized_feature_maps, normalized_feature_map_transfer),
            "means": (weights.means, mean_transfer),
            "variances": (weights.variances, variance_transfer),
        }
        total = mask.new_zeros((), dtype=torch.float32)
        for name, (weight, objective) in features.items():
            if weight:
                maps = [(expected.features[layer].float(), found.features[layer].float()) for layer in layers]
                losses[name] = torch.stack([objective(*pair, mask) for pair in maps]).sum()
                total = total + weight * losses[name]
        if weights.attention:
            maps = [(expected.attentions[layer].float(), found.attentions[layer].float()) for layer in layers]
            losses["attention"] = torch.stack([attention_transfer(*pair, mask) for pair in maps]).sum()
            total = total + weights.attention * losses["attention"]
        return total

    def _predictions(
        self, losses: dict[str, Tensor], expected: Maps | None, found: Maps, batch: dict[str, Tensor]
    ) -> Tensor:
        """Computes L_PD, or L_MLM + L_NSP without a teacher. Logits are computed at masked positions only."""
        masked = batch["labels"] != IGNORED
        words = batch["labels"][masked]
        logits = self.student.cls.predictions(found.features[-1][masked]).float()
        losses["masked_words"] = masked_language_modeling(logits, words)
        next_sentence = logits.new_zeros(())
        if "next_sentence" in batch:
            assert self.student.mobilebert.pooler is not None
            pooled = self.student.mobilebert.pooler(found.features[-1])
            relation = self.student.cls.seq_relationship(pooled).float()
            next_sentence = losses["next_sentence"] = next_sentence_prediction(relation, batch["next_sentence"])
        [teacher] = self._teacher
        if expected is None or teacher is None:
            return losses["masked_words"] + next_sentence
        with torch.no_grad():
            teacher_logits = teacher.cls.predictions(expected.features[-1][masked]).float()
        losses["distillation"] = knowledge_distillation(teacher_logits, logits, words, self._weights.temperature)
        return pretraining_distillation(
            losses["masked_words"], losses["distillation"], next_sentence, self._weights.alpha
        )
