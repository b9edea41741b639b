"""Requirements of the public names: optional dependencies, and the private packages `graphs` and `perf`.

`mbert_onnx.__getattr__` checks them before it imports the module of a public name, so that no module needs checks
between its imports.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from mbert_onnx.errors import MbertError, MissingExtraError

EXTRAS = {
    "export": ("torch", "transformers", "safetensors"),
    "predict": ("pyarrow",),
    "ray": ("pyarrow", "ray"),
    "train": (
        "torch",
        "transformers",
        "safetensors",
        "accelerate",
        "datasets",
        "matplotlib",
        "pydantic",
        "scipy",
        "sklearn",
        "tensorboard",
    ),
}

PRIVATE_PACKAGES = ("graphs", "perf")


def require_extra(extra: str, doing: str) -> None:
    """Raises MissingExtraError where a package of the extra is not installed.

    Args:
        extra: Its name in `pip install mbert-onnx[EXTRA]`.
        doing: The feature that needs it, for the message, such as "export".
    """
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{doing} needs {' and '.join(missing)}, not installed here: pip install 'mbert-onnx[{extra}]'"
        )


def require_beside(name: str) -> None:
    """Checks that importing the private package `name` finds the one beside `mbert_onnx`. Call it before the import.

    `graphs` and `perf` are general names, which a module of the user may have, too. Raises MbertError if another module
    of that name comes first on the import path or is loaded already (the message says which), or if there is none.
    """
    home = Path(__file__).resolve().parent.parent.parent / name
    found = _location(name)
    if found is None:
        raise MbertError(f"the package {name!r} is missing; it belongs at {home}: install mbert-onnx again")
    if found != home:
        raise MbertError(
            f"another module called {name!r} is in the way: found {found}, expected {home}; "
            "run from another folder, or take it off PYTHONPATH"
        )


def _location(name: str) -> Path | None:
    """Returns the folder of the package `name`, or the file of the module; None if there is neither."""
    loaded = sys.modules.get(name)
    spec = loaded.__spec__ if loaded is not None else importlib.util.find_spec(name)
    if spec is None:
        return None if loaded is None else Path(getattr(loaded, "__file__", None) or f"a {name} created at run time")
    file = Path(spec.origin or next(iter(spec.submodule_search_locations or ["?"])))
    return (file.parent if file.name == "__init__.py" else file).resolve()
