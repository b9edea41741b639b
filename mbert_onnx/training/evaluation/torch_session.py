"""A checkpoint in torch with the interface of an onnxruntime session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mbert_onnx.bundles.records import CONFIG
from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.model.other_berts import is_other_bert
from mbert_onnx.text.json_files import read_json
from mbert_onnx.text.tasks import Task
from perf.providers import CPU
from perf.sessions.runtimes.torch_session import TorchSession, open_session

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Opened:
    """The session of a checkpoint, with its task, folder and config."""

    session: TorchSession
    task: Task
    folder: Path
    config: dict[str, Any]


class _Named(nn.Module):
    """Wrapper that gives the module's inputs the names that the session passes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Any:
        return self.model(input_ids, attention_mask, token_type_ids)


def open_in_torch(checkpoint: str, task: Task, threads: int, seed: int) -> Opened:
    """Opens a checkpoint in float32: a MobileBERT in our module, another BERT in transformers' class.

    Raises the errors of `load_checkpoint`, CheckpointError for random weights, PerfError for a checkpoint that
    transformers cannot load.
    """
    if is_other_bert(checkpoint):
        folder = Path(checkpoint)
        config = read_json(folder / CONFIG)
        return Opened(open_session(folder / WEIGHTS, CPU, threads), task, folder, config)
    loaded = load_checkpoint(checkpoint, task=task.name, seed=seed)
    if loaded.folder is None:
        raise CheckpointError(f"{checkpoint} has random weights and no tokenizer; expected a trained checkpoint")
    named = _Named(loaded.model).eval()
    return Opened(TorchSession(named, named, threads), task, loaded.folder, loaded.config.to_dict())
