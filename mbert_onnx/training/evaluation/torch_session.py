"""A checkpoint in torch, with the methods of onnxruntime's session."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mbert_onnx.bundles.reader import CONFIG
from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.model.other_berts import is_foreign
from mbert_onnx.text.tasks import Task
from perf.providers import CPU
from perf.sessions.runtimes.torch_session import TorchSession, open_session

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Opened:
    """A checkpoint's session, and what its folder says."""

    session: TorchSession
    task: Task
    folder: Path
    config: dict[str, Any]


class _Named(nn.Module):
    """The module with its inputs by name, as a session asks for them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Any:
        return self.model(input_ids, attention_mask, token_type_ids)


def open_in_torch(checkpoint: str, task: Task, threads: int, seed: int) -> Opened:
    """A checkpoint in float32: one of ours in our module, another BERT in transformers' own.

    Raises what `load_checkpoint` raises, CheckpointError for one with no folder, PerfError for one that transformers
    cannot load.
    """
    if is_foreign(checkpoint):
        folder = Path(checkpoint)
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return Opened(open_session(folder / WEIGHTS, CPU, threads), task, folder, config)
    loaded = load_checkpoint(checkpoint, task=task.name, seed=seed)
    if loaded.folder is None:
        raise CheckpointError(f"{checkpoint} has random weights, and no tokenizer; expected a trained checkpoint")
    named = _Named(loaded.model).eval()
    return Opened(TorchSession(named, named, threads), task, loaded.folder, loaded.config.to_dict())
