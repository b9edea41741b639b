"""Small MobileBERTs for tests: a config for every switch of transformers, with random weights."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from transformers import MobileBertConfig

BASE: dict[str, Any] = {
    "vocab_size": 101,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "intra_bottleneck_size": 32,
    "embedding_size": 24,
    "max_position_embeddings": 40,
    "num_feedforward_networks": 3,
    "num_labels": 2,
    # The only one of transformers 5's that returns attention probabilities; transformers 4.57 has no other.
    "attn_implementation": "eager",
}

SWITCHES: dict[str, dict[str, Any]] = {
    "default": {},
    "layer_norm": {"normalization_type": "layer_norm", "layer_norm_eps": 1e-12},
    "no_bottleneck": {"use_bottleneck": False, "intermediate_size": 80},
    "no_bottleneck_layer_norm": {"use_bottleneck": False, "normalization_type": "layer_norm"},
    "bottleneck_attention": {"use_bottleneck_attention": True},
    "bottleneck_attention_unshared": {"use_bottleneck_attention": True, "key_query_shared_bottleneck": False},
    "unshared_same_width": {"key_query_shared_bottleneck": False, "intra_bottleneck_size": 64},
    "one_ffn": {"num_feedforward_networks": 1},
    "two_ffn": {"num_feedforward_networks": 2},
    "no_trigram": {"trigram_input": False},
    "no_trigram_same_width": {"trigram_input": False, "embedding_size": 64},
    "trigram_same_width": {"embedding_size": 64},
    "gelu": {"hidden_act": "gelu"},
    "gelu_new": {"hidden_act": "gelu_new"},
    "silu": {"hidden_act": "silu"},
    "tanh": {"hidden_act": "tanh"},
    "raw_pooler": {"classifier_activation": False},
    "three_segments": {"type_vocab_size": 3},
    "one_head": {"num_attention_heads": 1},
    "untied": {"tie_word_embeddings": False},
    "other_pad": {"pad_token_id": 3},
    "outputs": {"output_hidden_states": True, "output_attentions": True},
}

# Models that do not take the inputs that the tests of all switches use.
NARROW: dict[str, dict[str, Any]] = {
    "one_segment": {"type_vocab_size": 1},
    "four_positions": {"max_position_embeddings": 4},
}


def small_config(switch: str, **changes: Any) -> MobileBertConfig:
    return MobileBertConfig(**{**BASE, **{**SWITCHES, **NARROW}[switch], **changes})


Module = TypeVar("Module", bound=torch.nn.Module)


def randomize(model: Module, seed: int = 0) -> Module:
    """Randomizes every parameter, norms and biases too: with γ = 1 and β = 0 a wrong fold would not be detected."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("LayerNorm.weight"):
                parameter.copy_(1 + 0.3 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.3 * noise)
            else:
                parameter.copy_(noise / parameter.shape[-1] ** 0.5)
    return model
