"""Queries, keys and values of an encoder of transformers, found by the names of its linear layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mbert_onnx.training.distillation.layer_maps import Projections

# Names of the linear layers of queries, keys and values; a single name is one layer for all three.
NAMES: tuple[tuple[str, ...], ...] = (
    ("query", "key", "value"),
    ("q_lin", "k_lin", "v_lin"),
    ("query_proj", "key_proj", "value_proj"),
    ("q_proj", "k_proj", "v_proj"),
    ("q", "k", "v"),
    ("Wqkv",),
)


def projecting_layers(model: nn.Module) -> list[list[nn.Linear]]:
    """Returns the linear layers of queries, keys and values, in the order of the encoder's layers; empty if unknown.

    Layers that share their weights, as in ALBERT, are there once; each call of them is an encoder's layer.
    """
    by_name: dict[str, list[nn.Linear]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            by_name.setdefault(name.rpartition(".")[2], []).append(module)
    for names in NAMES:
        groups = [by_name.get(name, []) for name in names]
        if groups[0] and len({len(group) for group in groups}) == 1:
            return groups
    return []


def projections_of(outputs: Sequence[Sequence[Tensor]]) -> list[Projections]:
    """Returns the projections of each layer from the outputs of `projecting_layers`, all ``[batch, seq, …]``."""
    if len(outputs) == 1:
        return [Projections(*output.chunk(3, dim=-1)) for output in outputs[0]]
    return [Projections(*each) for each in zip(*outputs, strict=True)]
