"""Optional dependencies: what a command needs, and the line that says how to get it."""

from __future__ import annotations

import importlib.util

from mbert_onnx.errors import MissingExtraError

EXTRAS = {
    "export": ("torch", "transformers", "safetensors"),
    "train": ("torch", "transformers", "accelerate", "datasets", "tensorboard", "matplotlib", "pydantic", "sklearn"),
}


def require_extra(extra: str, doing: str) -> None:
    """Raises MissingExtraError where a package of the extra is not installed.

    Args:
        extra: As in `pip install mbert-onnx[EXTRA]`.
        doing: What needs it, such as "export".
    """
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{doing} needs {' and '.join(missing)}, not installed here: pip install 'mbert-onnx[{extra}]'"
        )
