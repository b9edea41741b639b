"""Small checkpoints, their bundles, and traces of small models, which tests share; each is built once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import transformers
from filelock import FileLock
from torch import Tensor, nn
from transformers.utils import ModelOutput

from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.text.tasks import Task


@dataclass(frozen=True)
class Exported:
    """A small checkpoint of transformers, and its exported bundle."""

    checkpoint: Path
    bundle: Path

    @property
    def model(self) -> Path:
        """The bundle's only model file."""
        (file,) = (self.bundle / "onnx").glob("*.onnx")
        return file

    @property
    def metadata(self) -> Any:
        return json.loads((self.bundle / "mbert_onnx.json").read_text())

    @property
    def theirs(self) -> Any:
        """The checkpoint as transformers' model; as a model of sentence-transformers where the folder is one."""
        config = json.loads((self.checkpoint / "config.json").read_text())
        theirs = getattr(transformers, config["architectures"][0])
        # The only implementation that returns attentions in every version.
        model = theirs.from_pretrained(self.checkpoint, attn_implementation="eager").eval()
        return SentenceModel(model) if (self.checkpoint / "modules.json").is_file() else model


class SentenceModel(nn.Module):
    """The formulas of sentence-transformers' Pooling (mean) and Normalize behind a bare model of transformers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **inputs: Tensor) -> ModelOutput:
        states = self.model(input_ids=input_ids, attention_mask=attention_mask, **inputs).last_hidden_state
        mask = attention_mask[..., None].to(states.dtype)
        vectors = nn.functional.normalize((states * mask).sum(1) / mask.sum(1).clamp(min=1e-9))
        return ModelOutput(last_hidden_state=states, sentence_embedding=vectors)


Exports = Callable[..., Exported]


class Traces:
    """A replacement of `trace` that traces equal models once: it takes most of the time of a small model's export.

    Args:
        folder: The folder for the graphs; processes may share it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, model: nn.Module, task: Task, shapes: Shapes, **options: bool) -> ir.Model:
        from mbert_onnx.conversion.tracing import trace

        config: Any = model.config
        normalize = getattr(getattr(model, "pooling", None), "normalize", None)
        values = (config.to_json_string(), task.name, normalize, shapes, sorted(options.items()))
        key = hashlib.sha256(repr(values).encode())
        for name, tensor in model.state_dict().items():
            key.update(name.encode() + tensor.numpy().tobytes())
        file = self._folder / f"{key.hexdigest()}.onnx"
        with FileLock(file.with_suffix(".lock")):
            if not file.exists():
                partial = file.with_suffix(".partial")
                onnx.save(ir.to_proto(trace(model, task, shapes, **options)), partial)
                partial.rename(file)
        return ir.from_proto(onnx.load(file))
