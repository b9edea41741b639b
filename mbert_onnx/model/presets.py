"""The paper's architectures as configs, and models with random weights, so that all can be tried with no download."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import MobileBertConfig

from mbert_onnx.errors import UsageError


def _balance(intra: int, heads: int, networks: int) -> dict[str, Any]:
    return {
        "intra_bottleneck_size": intra,
        "num_attention_heads": heads,
        "intermediate_size": 4 * intra,
        "num_feedforward_networks": networks,
    }


# Table 1 and section 4.4.1 of the paper. MOBILEBERT_TINY: half the feed-forward networks, and attention that reads
# the 128-wide stream, so it has no shared query-key bottleneck.
PRESETS: dict[str, dict[str, Any]] = {
    "mobilebert": {},
    "tiny": {
        "num_feedforward_networks": 2,
        "use_bottleneck_attention": True,
        "key_query_shared_bottleneck": False,
    },
    # What section 3.3 replaces, for the sake of latency: layer normalization, by NoNorm, and GELU, by ReLU.
    "layer-norm": {"normalization_type": "layer_norm"},
    "gelu": {"hidden_act": "gelu"},
    "layer-norm-gelu": {"normalization_type": "layer_norm", "hidden_act": "gelu"},
    # Table 3: how wide a block is, against how many feed-forward networks it has, at about the same size.
    "intra-192": _balance(192, heads=6, networks=1),
    "intra-160": _balance(160, heads=5, networks=2),
    "intra-96": _balance(96, heads=3, networks=8),
    # What two CPU cores distil in an hour.
    "laptop": {
        "num_hidden_layers": 12,
        "hidden_size": 256,
        "intra_bottleneck_size": 64,
        "intermediate_size": 256,
        "max_position_embeddings": 128,
    },
}

# Spread of γ around 1 in a random model: enough that a graph in which NoNorm is folded wrongly gives other numbers.
GAMMA_SPREAD = 0.2


def mobilebert_config(preset: str = "mobilebert", **changes: Any) -> MobileBertConfig:
    """A config of the paper's: `mobilebert` (25.3 M parameters in table 1) or `tiny` (15.1 M).

    Counting embeddings and encoder, without pooler and head, these have 24.6 M and 15.5 M.
    """
    if preset not in PRESETS:
        raise UsageError(f"no preset is called {preset!r}; known: {', '.join(PRESETS)}")
    return MobileBertConfig(**{**PRESETS[preset], **changes})


def initialize(model: nn.Module, config: MobileBertConfig, seed: int) -> None:
    """Random weights in place: matrices as transformers draws them, γ around 1, biases and β around 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, config.initializer_range, generator=generator)
            if name.endswith("LayerNorm.weight"):
                parameter.mul_(GAMMA_SPREAD / config.initializer_range).add_(1.0)
