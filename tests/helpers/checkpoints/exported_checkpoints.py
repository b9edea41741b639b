"""What the fixture `exported` gives: small checkpoints and their bundles, which tests share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers


@dataclass(frozen=True)
class Exported:
    """A small checkpoint of transformers, and the bundle that `export` made of it."""

    checkpoint: Path
    bundle: Path

    @property
    def model(self) -> Path:
        return self.bundle / "onnx" / "model.onnx"

    @property
    def metadata(self) -> Any:
        return json.loads((self.bundle / "mbert_onnx.json").read_text())

    @property
    def theirs(self) -> Any:
        """transformers' own model."""
        config = json.loads((self.checkpoint / "config.json").read_text())
        theirs = getattr(transformers, config["architectures"][0])
        # The one implementation that gives attentions in every version.
        return theirs.from_pretrained(self.checkpoint, attn_implementation="eager").eval()


Exports = Callable[..., Exported]
