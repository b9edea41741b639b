"""The built-in trained model `reference`, both a checkpoint and a bundle."""

from __future__ import annotations

from pathlib import Path

REFERENCE = "reference"

FOLDER = Path(__file__).parent
"""Folder of the model. `model.safetensors` has its weights in half precision; `model.onnx` reads the same file."""


def is_reference(name: str | Path) -> bool:
    """Returns whether a name is that of the built-in model. It takes precedence over a folder of that name."""
    return str(name) == REFERENCE


def located(name: str | Path) -> Path:
    """Returns the path of a model: the built-in model's folder for `reference`, else the name as a path."""
    return FOLDER if is_reference(name) else Path(name)
