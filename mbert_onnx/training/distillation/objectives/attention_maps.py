"""Attention transfer: the divergence between the attention of the teacher's and the student's heads."""

from __future__ import annotations

import torch
from torch import Tensor

from mbert_onnx.training.distillation.objectives.feature_maps import mean_of_tokens


def attention_transfer(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    """Computes L_AT = 1/(T·A) Σ_t Σ_a KL(a^teacher_{t,a} ‖ a^student_{t,a}) of one layer (equation 3).

    Args:
        teacher: Attention probabilities ``[batch, heads, seq, seq]``; the last axis sums to 1.
        student: Attention probabilities of the same shape.
        mask: ``[batch, seq]``, 1 for a token and 0 for padding, whose rows are ignored.

    T is the number of tokens, A the number of heads. Google's code computes the cross-entropy, which has the same
    gradient; the divergence is 0 if both are equal.
    """
    # The probability of padding is exactly 0 on both sides, and 0·log 0 counts as 0.
    log_student = student.clamp_min(torch.finfo(student.dtype).tiny).log()
    divergence = (torch.xlogy(teacher, teacher) - teacher * log_student).sum(dim=-1)
    return mean_of_tokens(divergence.mean(dim=1), mask)
