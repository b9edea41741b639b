"""Identity of this installation's code, to compare it with another machine's. Imports nothing heavy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import mbert_onnx

PACKAGES = ("mbert_onnx", "graphs", "perf")
HOME = Path(mbert_onnx.__file__).parent.parent


def identity() -> str:
    """Returns the version of this installation and a hash of its code, independent of where it is installed."""
    digest = hashlib.sha256()
    for name in code():
        content = (HOME / name).read_bytes()
        digest.update(f"{name.as_posix()} {len(content)} ".encode() + content)
    return f"{mbert_onnx.__version__} {digest.hexdigest()}"


def code() -> Iterator[Path]:
    """Yields the modules of our packages in order, as paths relative to the packages' parent folder."""
    for package in PACKAGES:
        yield from sorted(path.relative_to(HOME) for path in (HOME / package).rglob("*.py"))
