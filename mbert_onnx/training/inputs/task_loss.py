"""Losses of fine-tuning as modules: compute the losses of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from mbert_onnx.training.distillation.objectives.predictions import IGNORED, soft_cross_entropy


class LabelLoss(nn.Module):
    """Cross-entropy of labels, or squared error of a regression; optionally with distillation of teacher logits.

    Args:
        model: A classifier.
        alpha: Weight of the labels; the teacher logits have weight 1 - alpha.
        temperature: Temperature of both distributions.
    """

    def __init__(self, model: nn.Module, alpha: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__()
        self.model, self.alpha, self.temperature = model, alpha, temperature

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the losses by name.

        Beside the model's inputs the batch has `label` ``[batch]`` (-100 if unknown) and optionally `opinion`, the
        teacher logits ``[batch, labels]``.
        """
        logits = self.model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]).logits.float()
        label = batch["label"]
        if logits.shape[1] == 1:
            loss = mse_loss(logits[:, 0], label.float())
            return {"loss": loss, "squared_error": loss}
        known = label != IGNORED
        # A batch without labels has a label loss of 0 with a zero gradient.
        labels = cross_entropy(logits[known], label[known].long()) if bool(known.any()) else logits.sum() * 0
        losses = {"labels": labels}
        total = labels
        if "opinion" in batch:
            losses["opinion"] = soft_cross_entropy(batch["opinion"].float(), logits, self.temperature)
            total = self.alpha * labels + (1 - self.alpha) * losses["opinion"]
        return {"loss": total, **losses}


class SpanLoss(nn.Module):
    """Mean of the cross-entropies of an answer's first and last token.

    Args:
        model: A question answering model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns the losses by name. The batch also has `start` and `end` ``[batch]``: 0 without an answer."""
        found = self.model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
        lowest = torch.finfo(torch.float32).min / 2
        hidden = (1.0 - batch["attention_mask"].float()) * lowest
        start = cross_entropy(found.start_logits.float() + hidden, batch["start"])
        end = cross_entropy(found.end_logits.float() + hidden, batch["end"])
        return {"loss": (start + end) / 2, "start": start, "end": end}
