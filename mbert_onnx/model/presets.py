"""The paper's architectures as configs, and random weights, so that everything can be tried without a download."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import MobileBertConfig

from mbert_onnx.errors import UsageError
from mbert_onnx.model.padding import zero_padding


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
    # Without section 3.3's optimizations for latency: layer normalization in place of NoNorm, GELU in place of ReLU.
    "layer-norm": {"normalization_type": "layer_norm"},
    "gelu": {"hidden_act": "gelu"},
    "layer-norm-gelu": {"normalization_type": "layer_norm", "hidden_act": "gelu"},
    # Table 3: the width of a block against its number of feed-forward networks, at about the same model size.
    "intra-192": _balance(192, heads=6, networks=1),
    "intra-160": _balance(160, heads=5, networks=2),
    "intra-96": _balance(96, heads=3, networks=8),
    # Small enough to be distilled in an hour on two CPU cores.
    "laptop": {
        "num_hidden_layers": 12,
        "hidden_size": 256,
        "intra_bottleneck_size": 64,
        "intermediate_size": 256,
        "max_position_embeddings": 128,
    },
}

# Standard deviation of γ around 1 in a random model: large enough that a wrong folding of NoNorm changes the outputs.
GAMMA_SPREAD = 0.2


def mobilebert_config(preset: str = "mobilebert", **changes: Any) -> MobileBertConfig:
    """Returns a config of the paper: `mobilebert` (25.3 M parameters in table 1) or `tiny` (15.1 M).

    Embeddings and encoder alone, without pooler and head, have 24.6 M and 15.5 M.
    """
    if preset not in PRESETS:
        raise UsageError(f"no preset is called {preset!r}; known: {', '.join(PRESETS)}")
    return MobileBertConfig(**{**PRESETS[preset], **changes})


def initialize(model: nn.Module, config: MobileBertConfig, seed: int) -> None:
    """Draws random weights in place: matrices and padding as in transformers, γ around 1, biases and β around 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, config.initializer_range, generator=generator)
            if name.endswith("LayerNorm.weight"):
                parameter.mul_(GAMMA_SPREAD / config.initializer_range).add_(1.0)
    zero_padding(model)
