"""The built-in trained models, each both a checkpoint and a bundle: `reference` (sentiment), `reference:embed`."""

from __future__ import annotations

from pathlib import Path

REFERENCE = "reference"
EMBED = "reference:embed"

FOLDER = Path(__file__).parent
"""Folder of `reference`. `model.safetensors` has its matrices in int8; `model.onnx` reads the same file."""

FOLDERS = {REFERENCE: FOLDER, EMBED: FOLDER / "embed"}
"""Folder of each built-in model, by name."""


def is_reference(name: str | Path) -> bool:
    """Returns whether a name is that of a built-in model. It takes precedence over a folder of that name."""
    return str(name) in FOLDERS


def located(name: str | Path) -> Path:
    """Returns the path of a model: a built-in model's folder for its name, else the name as a path."""
    return FOLDERS.get(str(name)) or Path(name)
