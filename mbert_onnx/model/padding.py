"""Padding of a student: the embedding of the padding token is zero, as is what follows the last token of a text.

The trigram of a text's last token reads the token after it. Alone, that is the end of the sequence, which counts as
zeros; in a batch with a longer text it is the padding token. Only with a zero embedding is the answer the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn
from transformers import PretrainedConfig

from mbert_onnx.model.student import Embeddings
from mbert_onnx.text.tokenizer import PADDING_TOKENS


def padding_token_in(vocabulary: Mapping[str, int]) -> int | None:
    """Returns the id of the padding token; None for a vocabulary without one."""
    return next((vocabulary[token] for token in PADDING_TOKENS if token in vocabulary), None)


def pad_with(model: nn.Module, token: int | None) -> None:
    """Makes a token the padding token of a model: in its config, and with a zero embedding.

    With None, no token is: id 0, transformers' default, would be a word, and keeps its embedding.
    """
    for embeddings in _embeddings_in(model):
        embeddings.word_embeddings.padding_idx = token
    if token is not None:
        assert isinstance(model.config, PretrainedConfig)
        model.config.pad_token_id = token
    zero_padding(model)


def zero_padding(model: nn.Module) -> None:
    """Sets the embedding of the padding token to zero, in place.

    torch's `padding_idx` alone does not keep it there: a decoder that is tied to the word embeddings has a gradient.
    """
    with torch.no_grad():
        for embeddings in _embeddings_in(model):
            words = embeddings.word_embeddings
            if words.padding_idx is not None:
                words.weight[words.padding_idx] = 0.0


def ignores_padding(model: nn.Module, token: int) -> bool:
    """Returns whether an answer does not depend on padding with a token.

    It does not where the token's embedding is zero, where the model has none (no text is padded with it), or where no
    trigram reads it.
    """
    return not any(
        embeddings.trigram_input and bool(embeddings.word_embeddings.weight[token : token + 1].any())
        for embeddings in _embeddings_in(model)
    )


def _embeddings_in(model: nn.Module) -> Iterator[Embeddings]:
    return (module for module in model.modules() if isinstance(module, Embeddings))
