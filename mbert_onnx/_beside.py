"""A guard: `graphs` and `perf` are general names, so make sure that ours are the ones that get imported."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from mbert_onnx.errors import MbertError


def require_beside(name: str) -> None:
    """Checks that the private package `name` is the one that stands beside `mbert_onnx`; to call before importing it.

    Raises MbertError, naming the intruder, where another module of that name comes first on the import path or is
    loaded already, and where there is none.
    """
    home = Path(__file__).resolve().parent.parent / name
    found = _place(name)
    if found is None:
        raise MbertError(f"the package {name!r} is missing; it belongs at {home}: install mbert-onnx again")
    if found != home:
        raise MbertError(
            f"another module called {name!r} is in the way: found {found}, expected {home}; "
            "run from another folder, or take it off PYTHONPATH"
        )


def _place(name: str) -> Path | None:
    """The folder of the package called `name`, or the file of the module; None where there is neither."""
    loaded = sys.modules.get(name)
    spec = loaded.__spec__ if loaded is not None else importlib.util.find_spec(name)
    if spec is None:
        return None if loaded is None else Path(getattr(loaded, "__file__", None) or f"a {name} made at run time")
    file = Path(spec.origin or next(iter(spec.submodule_search_locations or ["?"])))
    return (file.parent if file.name == "__init__.py" else file).resolve()
