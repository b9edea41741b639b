"""SHA-256 of a checkpoint's parts, which say whether two exports are of the same checkpoint."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import MobileBertConfig

from mbert_onnx.model.checkpoint import Checkpoint
from mbert_onnx.text.sentence_embedding import EmbeddingSettings

# Keys of a config that depend on who wrote it and not on the model.
VOLATILE = ("_name_or_path", "dtype", "torch_dtype", "transformers_version", "_attn_implementation_autoset")


def checkpoint_hashes(
    checkpoint: Checkpoint, tokenizer: list[Path], embedding: EmbeddingSettings | None = None
) -> dict[str, str]:
    """Returns the SHA-256, in hex, of a checkpoint's `weights`, `config` and `tokenizer`.

    The config includes the task: the same weights with another head make another model.

    Args:
        checkpoint: The checkpoint.
        tokenizer: The files of its tokenizer, as they are in a bundle.
        embedding: The settings of a model of sentence-transformers, which count as its config; None for others.
    """
    return {
        "weights": _weights(checkpoint.model),
        "config": _config(checkpoint.config, embedding),
        "tokenizer": _files(tokenizer),
    }


def _weights(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _config(config: MobileBertConfig, embedding: EmbeddingSettings | None) -> str:
    # What equals a default is left out: the list of defaults grows with each version of transformers.
    found: dict[str, Any] = {key: value for key, value in config.to_diff_dict().items() if key not in VOLATILE}
    if embedding is not None:
        found["sentence_embedding"] = embedding.as_dict()
    return hashlib.sha256(json.dumps(found, sort_keys=True, default=str).encode()).hexdigest()


def _files(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
