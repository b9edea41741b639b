"""Attention transfer: each head of the student shall look where the teacher's head looks."""

from __future__ import annotations

import torch
from torch import Tensor

from mbert_onnx.training.distillation.feature_maps import mean_of_tokens


def attention_transfer(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    """L_AT = 1/(T·A) Σ_t Σ_a KL(a^teacher_{t,a} ‖ a^student_{t,a}), of one layer (equation 3).

    Args:
        teacher: Attention probabilities ``[batch, heads, seq, seq]``; a row for each query.
        student: Likewise, of as many heads.
        mask: ``[batch, seq]``, 1 for a token and 0 for padding, whose rows do not count.

    T is the number of tokens, A that of heads. Google's code has the cross-entropy here, whose gradient is the same;
    the divergence is 0 where both agree.
    """
    # What padding gets is an exact 0 on both sides, and 0·log 0 is 0.
    log_student = student.clamp_min(torch.finfo(student.dtype).tiny).log()
    divergence = (torch.xlogy(teacher, teacher) - teacher * log_student).sum(dim=-1)
    return mean_of_tokens(divergence.mean(dim=1), mask)
