"""`reference`: the trained model that every installation has, as a checkpoint and as a bundle."""

from __future__ import annotations

from pathlib import Path

REFERENCE = "reference"

FOLDER = Path(__file__).parent / "reference"
"""Its files. `model.safetensors` has its weights in half precision, and `model.onnx` reads the very same file."""


def located(name: str | Path) -> Path:
    """The path that a name stands for: that of the built-in model's folder, else the name itself."""
    return FOLDER if str(name) == REFERENCE else Path(name)
