"""`reference`: the trained model that every installation has, as a checkpoint and as a bundle."""

from __future__ import annotations

from pathlib import Path

REFERENCE = "reference"

FOLDER = Path(__file__).parent
"""Its files. `model.safetensors` has its weights in half precision, and `model.onnx` reads the very same file."""


def is_reference(name: str | Path) -> bool:
    """Whether the built-in model is meant. It is, even where a folder of that name lies in the current directory."""
    return str(name) == REFERENCE


def located(name: str | Path) -> Path:
    """The path that a name stands for: that of the built-in model's folder, else the name itself."""
    return FOLDER if is_reference(name) else Path(name)
