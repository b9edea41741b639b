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
from torch import nn

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
        """The checkpoint as transformers' model."""
        config = json.loads((self.checkpoint / "config.json").read_text())
        theirs = getattr(transformers, config["architectures"][0])
        # The only implementation that returns attentions in every version.
        return theirs.from_pretrained(self.checkpoint, attn_implementation="eager").eval()


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
        key = hashlib.sha256(repr((config.to_json_string(), task.name, shapes, sorted(options.items()))).encode())
        for name, tensor in model.state_dict().items():
            key.update(name.encode() + tensor.numpy().tobytes())
        file = self._folder / f"{key.hexdigest()}.onnx"
        with FileLock(file.with_suffix(".lock")):
            if not file.exists():
                partial = file.with_suffix(".partial")
                onnx.save(ir.to_proto(trace(model, task, shapes, **options)), partial)
                partial.rename(file)
        return ir.from_proto(onnx.load(file))
