"""Pairs of layers that are compared, and linear maps between pairs of different widths."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from mbert_onnx.errors import UsageError

LayerPairs = dict[int, int]
"""Layer of the teacher for each compared layer of the student, both from 0, in order."""

# Key of the linear map between sentence vectors, beside those of layers, whose keys are numbers.
VECTORS = "vectors"


def layer_pairs(layers: str | Sequence[int], student: int, teacher: int) -> LayerPairs:
    """Returns the pairs of a recipe's `transfer.layers`.

    Args:
        layers: `uniform`, `last`, or the teacher's layer, from 1, for each layer of the student, 0 for none.
        student: Number of layers of the student.
        teacher: Number of layers of the teacher.

    `uniform` is TinyBERT's choice (Jiao et al. 2020, arXiv 1909.10351): the last layers are a pair, the
    others are equally spaced. Of a student with more layers than the teacher as many are compared as the teacher has.

    Raises UsageError for a list that does not have a number for each layer of the student, numbers that the teacher
    does not have or that do not increase, or only zeros.
    """
    if layers == "last":
        return {student - 1: teacher - 1}
    if layers == "uniform":
        count = min(student, teacher)
        return {_spaced(place, count, student): _spaced(place, count, teacher) for place in range(1, count + 1)}
    assert not isinstance(layers, str)
    if len(layers) != student:
        raise UsageError(
            f"transfer.layers has {len(layers)} numbers, the student {student} layers; give one for each of them"
        )
    chosen = {own: number - 1 for own, number in enumerate(layers) if number}
    if not chosen:
        raise UsageError("transfer.layers has only zeros, so no layer is compared; give a layer of the teacher")
    beyond = [number for number in layers if number > teacher]
    if beyond:
        raise UsageError(f"transfer.layers has {beyond[0]}, but the teacher has {teacher} layers; give at most that")
    numbers = [number for number in layers if number]
    if any(after <= before for before, after in pairwise(numbers)):
        raise UsageError(
            f"transfer.layers is {list(layers)}, which does not increase; give the teacher's layers in order"
        )
    return chosen


def _spaced(place: int, count: int, layers: int) -> int:
    """Returns the layer, from 0, at a place, from 1, of `count` equally spaced ones, of which the last is the top."""
    return (2 * place * layers + count) // (2 * count) - 1


def width_maps(pairs: LayerPairs, student: int, teacher: int, *, vectors: bool) -> nn.ModuleDict:
    """Returns a linear map from the student's to the teacher's width for each pair; empty for equal widths.

    Feature maps of other widths are compared through a linear map that is trained with the student and then discarded
    (Jiao et al. 2020, arXiv 1909.10351). Its key is the number of the student's layer, or, with `vectors`,
    `VECTORS` for sentence vectors. It starts as the identity of the channels that both have.
    """
    if student == teacher:
        return nn.ModuleDict()
    found = nn.ModuleDict()
    for key in (*map(str, pairs), *([VECTORS] if vectors else [])):
        linear = found[key] = nn.Linear(student, teacher)
        with torch.no_grad():
            linear.weight.copy_(torch.eye(teacher, student))
            linear.bias.zero_()
    return found
