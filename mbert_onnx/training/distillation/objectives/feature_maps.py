"""Feature map transfer: the difference between the block outputs of the teacher and the student.

Feature maps are ``[batch, seq, hidden]``; masks are ``[batch, seq]``: 1 for a token, 0 for padding, which is ignored.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import layer_norm


def feature_map_transfer(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    """Computes L_FMT = 1/(T·N) Σ_t Σ_n (H^teacher_{t,n} − H^student_{t,n})² of one layer (equation 2).

    T is the number of tokens, N the number of channels.
    """
    return mean_of_tokens((teacher - student).square().mean(dim=-1), mask)


def normalized_feature_map_transfer(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    """Computes L_FMT of feature maps that are normalized to mean 0 and variance 1 per token.

    Section 3.4 splits L_FMT into this part and the discrepancy of the statistics, the two functions below.
    """
    size = teacher.shape[-1:]
    return feature_map_transfer(layer_norm(teacher, size), layer_norm(student, size), mask)


def mean_transfer(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    """Computes 1/T Σ_t (mean_n H^teacher_{t,n} − mean_n H^student_{t,n})² of one layer.

    Google's code takes the teacher's mean, and the variance below, over all layers; like section 3.4, this compares
    each layer with its own counterpart.
    """
    return mean_of_tokens((teacher.mean(dim=-1) - student.mean(dim=-1)).square(), mask)


def variance_transfer(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    """Computes 1/T Σ_t |var_n H^teacher_{t,n} − var_n H^student_{t,n}| of one layer; absolute, as in Google's code."""
    difference = teacher.var(dim=-1, correction=0) - student.var(dim=-1, correction=0)
    return mean_of_tokens(difference.abs(), mask)


def mean_of_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean over real tokens of `values` ``[batch, seq]``."""
    real = mask.to(values.dtype)
    return (values * real).sum() / real.sum()
