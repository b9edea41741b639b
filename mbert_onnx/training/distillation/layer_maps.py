"""Maps of a model's first layers, which transfer compares: feature maps, attention maps, queries, keys and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn

from mbert_onnx.model.student import MobileBertModel, padding_bias


@dataclass(frozen=True)
class Projections:
    """Queries, keys and values of a layer, each ``[batch, seq, width]``: the heads side by side, not scaled."""

    queries: Tensor
    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class Maps:
    """Maps of the computed layers, in order.

    Args:
        features: Output of each layer, ``[batch, seq, hidden]``; that of the last layer is what a head reads.
        attentions: Attention probabilities of each layer, ``[batch, heads, seq, seq]``; empty if not asked for.
        projections: Queries, keys and values of each layer; empty if not asked for.
    """

    features: list[Tensor]
    attentions: list[Tensor]
    projections: list[Projections] = field(default_factory=list)


def maps_of(
    backbone: MobileBertModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    token_type_ids: Tensor,
    depth: int,
    *,
    projections: bool = False,
) -> Maps:
    """Computes the maps of the first `depth` layers; inputs are ``[batch, seq]``."""
    batch, seq = input_ids.shape
    layers = list(backbone.encoder.layer)[:depth]
    x = backbone.embeddings(input_ids, token_type_ids)
    mask_bias = padding_bias(attention_mask, x.dtype)
    features, attentions = [], []
    linear = [[getattr(layer.attention.self, name) for layer in layers] for name in ("query", "key", "value")]  # type: ignore[union-attr]
    with recorded(linear if projections else []) as outputs:
        for layer in layers:
            x, attention = layer(x, mask_bias, batch, seq)
            features.append(x.view(batch, seq, -1))
            attentions.append(attention)
    per_layer = zip(*outputs, strict=True)
    return Maps(features, attentions, [Projections(*(y.view(batch, seq, -1) for y in ys)) for ys in per_layer])


@contextmanager
def recorded(groups: Sequence[Sequence[nn.Module]]) -> Iterator[list[list[Tensor]]]:
    """Yields a list for each group of modules, to which their outputs are added as they are computed."""
    outputs: list[list[Tensor]] = [[] for _ in groups]

    def hook_of(found: list[Tensor]) -> object:
        return lambda _module, _inputs, output: found.append(output)

    hooks = [
        module.register_forward_hook(hook_of(found))  # type: ignore[arg-type]
        for group, found in zip(groups, outputs, strict=True)
        for module in group
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
