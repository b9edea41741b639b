"""Relations among queries, keys and values, for students with another number of heads.

MiniLMv2 (Wang et al. 2021, arXiv 2012.15828): queries, keys and values are regrouped into the same number
of relation heads, whatever the number of attention heads; the teacher's softmax of scaled products of queries with
queries, keys with keys and values with values is learnt.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mbert_onnx.training.distillation.layer_maps import Projections
from mbert_onnx.training.distillation.objectives.attention_maps import attention_transfer


def relation_transfer(teacher: Projections, student: Projections, mask: Tensor, heads: int) -> Tensor:
    """Computes the divergence of the three relations of one layer, summed over them.

    Args:
        teacher: Queries, keys and values ``[batch, seq, width]``.
        student: The same, of another width.
        mask: ``[batch, seq]``, 1 for a token and 0 for padding, which is ignored.
        heads: Number of relation heads, a divisor of both widths.
    """
    pairs = (
        (teacher.queries, student.queries),
        (teacher.keys, student.keys),
        (teacher.values, student.values),
    )
    losses = [attention_transfer(relation(a, mask, heads), relation(b, mask, heads), mask) for a, b in pairs]
    return torch.stack(losses).sum()


def relation(x: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Returns the softmax over real tokens of x·xᵀ/√d in each relation head, float32 ``[batch, heads, seq, seq]``."""
    batch, seq, width = x.shape
    parts = x.float().view(batch, seq, heads, width // heads).transpose(1, 2)
    scores = parts @ parts.transpose(2, 3) / math.sqrt(width // heads)
    return scores.masked_fill(mask[:, None, None, :] == 0, -torch.inf).softmax(dim=-1)


def relation_heads(teacher_width: int, student_width: int, most: int) -> int:
    """Returns the number of relation heads: the largest common divisor of both widths that is at most `most`."""
    common = math.gcd(teacher_width, student_width)
    return max(heads for heads in range(1, min(most, common) + 1) if common % heads == 0)
