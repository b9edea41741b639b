"""A checkpoint in torch with the interface of an onnxruntime session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mbert_onnx.bundles.records import CONFIG
from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.model.other_berts import is_other_bert, other_encoder, positions_of
from mbert_onnx.reference import located
from mbert_onnx.text.json_files import read_json
from mbert_onnx.text.sentence_embedding import EmbeddingSettings, default_settings, read_modules
from mbert_onnx.text.tasks import FEATURE_EXTRACTION, SENTENCE_SIMILARITY, Task
from perf.providers import CPU
from perf.sessions.runtimes.torch_session import TorchSession, open_session

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Opened:
    """The session of a checkpoint, with its task, folder, config, and settings of sentence embeddings, if any."""

    session: TorchSession
    task: Task
    folder: Path
    config: dict[str, Any]
    embedding: EmbeddingSettings | None = None


class _Named(nn.Module):
    """Wrapper that gives the module's inputs the names that the session passes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Any:
        return self.model(input_ids, attention_mask, token_type_ids)


def open_in_torch(checkpoint: str, task: Task, threads: int, seed: int) -> Opened:
    """Opens a checkpoint in float32: a MobileBERT in our module, another encoder in transformers' class.

    For sentence similarity another encoder is the bare model, whatever the task of the checkpoint, whose hidden states
    are pooled by the settings.

    Raises the errors of `load_checkpoint`, CheckpointError for random weights, PerfError for a checkpoint that
    transformers cannot load.
    """
    root = located(checkpoint)
    modules = read_modules(checkpoint, root)
    folder = root if modules is None else modules.transformer
    if is_other_bert(folder):
        config = read_json(folder / CONFIG)
        if task is not SENTENCE_SIMILARITY:
            return Opened(open_session(folder / WEIGHTS, CPU, threads), task, folder, config)
        encoder = other_encoder(folder)
        positions = positions_of(encoder)
        read = (
            default_settings(checkpoint, folder, positions)
            if modules is None
            else modules.embedding_settings(positions)
        )
        config["max_position_embeddings"] = positions
        session = TorchSession(encoder, encoder, threads)
        return Opened(session, FEATURE_EXTRACTION, folder, config, read[0])
    loaded = load_checkpoint(checkpoint, task=task.name, seed=seed)
    if loaded.folder is None:
        raise CheckpointError(f"{checkpoint} has random weights and no tokenizer; expected a trained checkpoint")
    named = _Named(loaded.model).eval()
    settings, _ = loaded.sentence_embedding()
    return Opened(TorchSession(named, named, threads), loaded.task, loaded.folder, loaded.config.to_dict(), settings)
