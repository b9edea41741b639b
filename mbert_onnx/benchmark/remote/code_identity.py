"""Which code this installation is, so that another machine's can be told from it. Imports nothing heavy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import mbert_onnx

PACKAGES = ("mbert_onnx", "graphs", "perf")
HOME = Path(mbert_onnx.__file__).parent.parent


def identity() -> str:
    """The version of this installation, and a hash of its code: the same wherever the code is."""
    digest = hashlib.sha256()
    for name in code():
        content = (HOME / name).read_bytes()
        digest.update(f"{name.as_posix()} {len(content)} ".encode() + content)
    return f"{mbert_onnx.__version__} {digest.hexdigest()}"


def code() -> Iterator[Path]:
    """The modules of our packages, by their names from where the packages are, in order."""
    for package in PACKAGES:
        yield from sorted(path.relative_to(HOME) for path in (HOME / package).rglob("*.py"))
