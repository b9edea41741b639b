"""Feature maps and attention maps of a model's first layers, which transfer compares."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mbert_onnx.model.student import MobileBertModel, padding_bias


@dataclass(frozen=True)
class Maps:
    """Maps of the computed layers, in order.

    Args:
        features: Output of each layer, ``[batch, seq, hidden]``.
        attentions: Attention probabilities of each layer, ``[batch, heads, seq, seq]``.
    """

    features: list[Tensor]
    attentions: list[Tensor]


def maps_of(
    backbone: MobileBertModel, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, depth: int
) -> Maps:
    """Computes the maps of the first `depth` layers; inputs are ``[batch, seq]``."""
    batch, seq = input_ids.shape
    x = backbone.embeddings(input_ids, token_type_ids)
    mask_bias = padding_bias(attention_mask, x.dtype)
    features, attentions = [], []
    for layer in list(backbone.encoder.layer)[:depth]:
        x, attention = layer(x, mask_bias, batch, seq)
        features.append(x.view(batch, seq, -1))
        attentions.append(attention)
    return Maps(features, attentions)
