"""The losses of fine-tuning, as modules: a batch in, losses out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from mbert_onnx.training.distillation.predictions import IGNORED, soft_cross_entropy


class LabelLoss(nn.Module):
    """Cross-entropy of labels, or squared error of a regression's scores; and a teacher's opinion, where there is one.

    Args:
        model: A classifier.
        alpha: The weight of the labels against the opinion.
        temperature: Of the opinion.
    """

    def __init__(self, model: nn.Module, alpha: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__()
        self.model, self.alpha, self.temperature = model, alpha, temperature

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch has, beside inputs, `label` ``[batch]`` (-100 where none is known) and perhaps `opinion`
        ``[batch, labels]``.
        """
        logits = self.model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]).logits.float()
        label = batch["label"]
        if logits.shape[1] == 1:
            loss = mse_loss(logits[:, 0], label.float())
            return {"loss": loss, "squared_error": loss}
        known = label != IGNORED
        # A batch without any label has no such loss, and no gradient of it: 0 times what is there.
        labels = cross_entropy(logits[known], label[known].long()) if bool(known.any()) else logits.sum() * 0
        losses = {"labels": labels}
        total = labels
        if "opinion" in batch:
            losses["opinion"] = soft_cross_entropy(batch["opinion"].float(), logits, self.temperature)
            total = self.alpha * labels + (1 - self.alpha) * losses["opinion"]
        return {"loss": total, **losses}


class SpanLoss(nn.Module):
    """The mean of the cross-entropies of an answer's first and last token.

    Args:
        model: A question answerer.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch has, beside inputs, `start` and `end` ``[batch]``: positions, 0 where a window has no answer."""
        found = self.model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
        lowest = torch.finfo(torch.float32).min / 2
        hidden = (1.0 - batch["attention_mask"].float()) * lowest
        start = cross_entropy(found.start_logits.float() + hidden, batch["start"])
        end = cross_entropy(found.end_logits.float() + hidden, batch["end"])
        return {"loss": (start + end) / 2, "start": start, "end": end}
