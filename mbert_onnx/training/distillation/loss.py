"""Loss of a stage as a module: computes the losses of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mbert_onnx.model.checkpoint import backbone_of
from mbert_onnx.training.distillation.layer_maps import Maps, maps_of
from mbert_onnx.training.distillation.layer_pairs import LayerPairs
from mbert_onnx.training.distillation.objectives.attention_maps import attention_transfer
from mbert_onnx.training.distillation.objectives.feature_maps import (
    feature_map_transfer,
    mean_transfer,
    normalized_feature_map_transfer,
    variance_transfer,
)
from mbert_onnx.training.distillation.objectives.relations import relation_heads, relation_transfer
from mbert_onnx.training.distillation.strategies import Stage
from mbert_onnx.training.distillation.task_losses import TaskWeights, task_losses
from mbert_onnx.training.distillation.teachers.interface import Teacher
from mbert_onnx.training.distillation.teachers.mobilebert import shape_of


@dataclass(frozen=True)
class ObjectiveWeights(TaskWeights):
    """Weights of the objectives, beside those of the student's task.

    Args:
        feature_maps: Weight of L_FMT.
        normalized_feature_maps, means, variances: Weights of its parts.
        attention: Weight of L_AT.
        relations: Weight of the relations among queries, keys and values, where the numbers of heads differ.
    """

    feature_maps: float = 1.0
    normalized_feature_maps: float = 0.0
    means: float = 0.0
    variances: float = 0.0
    attention: float = 1.0
    relations: float = 1.0


class StageLoss(nn.Module):
    """Loss of a stage.

    Args:
        student: The model that is trained, one of ours.
        teacher: The teacher, or None. It is not registered as a sub-module, so that accelerate neither trains, saves
            nor synchronizes it.
        stage: The stage, which names the objectives.
        weights: Weights of the objectives.
        pairs: The teacher's layer for each compared layer of the student; default: the same one.
        maps: Linear maps to the teacher's width, of all stages, so that each checkpoint has them; default: none.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: Teacher | None,
        stage: Stage,
        weights: ObjectiveWeights,
        *,
        pairs: LayerPairs | None = None,
        maps: nn.ModuleDict | None = None,
    ) -> None:
        super().__init__()
        self.student = student
        self.width_maps = nn.ModuleDict() if maps is None else maps
        self._teacher = teacher if stage.teaches else None
        self._stage, self._weights = stage, weights
        self._pairs = {layer: layer for layer in stage.layers} if pairs is None else pairs
        self._shape = shape_of(backbone_of(student))
        self._relates = False
        if teacher is not None and stage.layers:
            self._relates = teacher.shape.heads != self._shape.heads and weights.relations > 0

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns `loss` and each unweighted objective by name; layer objectives are summed over layers.

        The batch has `input_ids`, `attention_mask` and `token_type_ids` ``[batch, seq]``; for masked words also
        `labels` ``[batch, seq]``, and `next_sentence` ``[batch]`` if next-sentence prediction is trained.
        """
        inputs = batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]
        found = maps_of(backbone_of(self.student), *inputs, self._stage.depth, projections=self._relates)
        expected = self._expected(batch)
        losses: dict[str, Tensor] = {}
        total = found.features[-1].new_zeros((), dtype=torch.float32)
        if expected is not None and self._stage.layers:
            total = total + self._layers(losses, expected, found, batch["attention_mask"])
        if self._stage.predicts:
            args = found, expected, batch, self._weights, self.width_maps
            loss, more = task_losses(self.student, self._teacher, *args)
            total = total + loss
            losses |= more
        return {"loss": total, **losses}

    def _expected(self, batch: dict[str, Tensor]) -> Maps | None:
        """Returns the teacher's maps, up to the last layer that the stage needs."""
        teacher = self._teacher
        if teacher is None:
            return None
        compared = [self._pairs[layer] + 1 for layer in self._stage.layers]
        depth = teacher.shape.layers if self._stage.predicts else max(compared)
        attends = bool(compared) and self._attends(teacher)
        return teacher.maps(batch, depth, attentions=attends, projections=self._relates)

    def _attends(self, teacher: Teacher) -> bool:
        """True if attention maps are compared: head by head, so that both need the same number of heads."""
        return self._weights.attention > 0 and teacher.shape.heads == self._shape.heads

    def _layers(self, losses: dict[str, Tensor], expected: Maps, found: Maps, mask: Tensor) -> Tensor:
        weights, layers, teacher = self._weights, self._stage.layers, self._teacher
        assert teacher is not None
        features = {
            "feature_maps": (weights.feature_maps, feature_map_transfer),
            "normalized_feature_maps": (weights.normalized_feature_maps, normalized_feature_map_transfer),
            "means": (weights.means, mean_transfer),
            "variances": (weights.variances, variance_transfer),
        }
        total = mask.new_zeros((), dtype=torch.float32)
        pairs = [(self._pairs[layer], layer) for layer in layers]
        maps = [(expected.features[theirs].float(), self._widened(found, own).float()) for theirs, own in pairs]
        for name, (weight, objective) in features.items():
            if weight:
                losses[name] = torch.stack([objective(*pair, mask) for pair in maps]).sum()
                total = total + weight * losses[name]
        if self._attends(teacher):
            maps = [(expected.attentions[theirs].float(), found.attentions[own].float()) for theirs, own in pairs]
            losses["attention"] = torch.stack([attention_transfer(*pair, mask) for pair in maps]).sum()
            total = total + weights.attention * losses["attention"]
        if self._relates:
            heads = relation_heads(teacher.shape.projected_size, self._shape.projected_size, teacher.shape.heads)
            both = [(expected.projections[theirs], found.projections[own]) for theirs, own in pairs]
            losses["relations"] = torch.stack([relation_transfer(*pair, mask, heads) for pair in both]).sum()
            total = total + weights.relations * losses["relations"]
        return total

    def _widened(self, found: Maps, layer: int) -> Tensor:
        """Returns a feature map of the student in the teacher's width."""
        key = str(layer)
        return self.width_maps[key](found.features[layer]) if key in self.width_maps else found.features[layer]
