"""Shorter students: some of the layers of a trained MobileBERT, with their weights.

Published work keeps half of a BERT's layers with little loss: the first ones for most tasks (Sajjad et al. 2020, arXiv
2004.03844), or every second one (DistilBERT, Sanh et al. 2019, arXiv 1910.01108).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

from torch import nn
from transformers import MobileBertConfig

from mbert_onnx.errors import UsageError
from mbert_onnx.model.checkpoint import backbone_of


def kept_layers(layers: int | Sequence[int], depth: int) -> tuple[int, ...]:
    """Returns the numbers, from 0, of the teacher's layers that a shorter student keeps.

    Args:
        layers: Number of first layers, or the numbers of layers, ascending.
        depth: Number of layers of the teacher.

    Raises UsageError for a selection that is not in the teacher, or is all of it.
    """
    kept = tuple(range(layers)) if isinstance(layers, int) else tuple(layers)
    if not kept or any(low >= high for low, high in pairwise(kept)):
        raise UsageError(f"student.layers is {layers}; expected ascending numbers of the teacher's layers, from 0")
    if kept[0] < 0 or kept[-1] >= depth:
        raise UsageError(
            f"student.layers is {layers}, but the teacher has {depth} layers"
            f"{'' if isinstance(layers, int) else f', 0 to {depth - 1}'}; give fewer than {depth}"
        )
    if len(kept) == depth:
        raise UsageError(f"student.layers keeps all {depth} layers of the teacher; give fewer")
    return kept


def shortened(teacher: nn.Module, kept: Sequence[int]) -> nn.Module:
    """Returns a copy of a MobileBERT, with or without a head, that has only the layers `kept`.

    Up to the first layer that is left out, its hidden states are those of the teacher.
    """
    student = copy.deepcopy(teacher)
    config = student.config
    assert isinstance(config, MobileBertConfig)
    encoder = backbone_of(student).encoder
    encoder.layer = nn.ModuleList(encoder.layer[number] for number in kept)
    config.num_hidden_layers = len(kept)
    pruned = getattr(config, "pruned_heads", None) or {}
    heads = {int(layer): list(numbers) for layer, numbers in pruned.items()}
    if heads:  # transformers' numbers of the layers whose heads were removed
        config.pruned_heads = {place: heads[layer] for place, layer in enumerate(kept) if layer in heads}
    for part in student.modules():  # the task model and its backbone may have a config each
        if part is not student and isinstance(getattr(part, "config", None), MobileBertConfig):
            part.config = config
    return student.requires_grad_(True)
