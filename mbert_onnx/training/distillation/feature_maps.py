"""Feature map transfer: what a block of the student writes to the stream shall be what the teacher's block writes.

Maps are ``[batch, seq, hidden]``, masks ``[batch, seq]`` with 1 for a token and 0 for padding, which counts nowhere.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import layer_norm


def feature_map_transfer(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    """L_FMT = 1/(T·N) Σ_t Σ_n (H^teacher_{t,n} − H^student_{t,n})², of one layer (equation 2).

    T is the number of tokens, N that of channels.
    """
    return mean_of_tokens((teacher - student).square().mean(dim=-1), mask)


def normalized_feature_map_transfer(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    """L_FMT between maps of which each token has mean 0 and variance 1: what direction it points to, and not how far.

    Section 3.4 splits L_FMT into this discrepancy and that of the statistics, which are the two functions below.
    """
    size = teacher.shape[-1:]
    return feature_map_transfer(layer_norm(teacher, size), layer_norm(student, size), mask)


def mean_transfer(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    """1/T Σ_t (mean_n H^teacher_{t,n} − mean_n H^student_{t,n})², of one layer.

    Google's code takes the teacher's mean, and its variance below, over all layers at once; section 3.4 compares layer
    with layer, and so does this.
    """
    return mean_of_tokens((teacher.mean(dim=-1) - student.mean(dim=-1)).square(), mask)


def variance_transfer(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    """1/T Σ_t |var_n H^teacher_{t,n} − var_n H^student_{t,n}|, of one layer; absolute, as in Google's code."""
    difference = teacher.var(dim=-1, correction=0) - student.var(dim=-1, correction=0)
    return mean_of_tokens(difference.abs(), mask)


def mean_of_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over real tokens; `values` are ``[batch, seq]``."""
    real = mask.to(values.dtype)
    return (values * real).sum() / real.sum()
