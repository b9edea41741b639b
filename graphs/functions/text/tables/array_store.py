"""Arrays in a folder, so that what takes a second is computed once on a machine, and not in each process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]

# Files that are kept; there are 24 settings of the normalizer, and each takes 2 MB at most.
KEPT = 32


class ArrayStore:
    """A folder of arrays. Without a folder, or where it cannot be read or written, arrays are computed each time.

    A file is complete or absent, and one that is damaged is ignored.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None

    def get(self, name: str, key: str, compute: Callable[[], Arrays]) -> Arrays:
        """Returns arrays that depend on `key` alone; computes and stores them if they are not there."""
        if self.folder is None:
            return compute()
        path = self.folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
        unreadable = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
        with contextlib.suppress(*unreadable), np.load(path, allow_pickle=False) as stored:
            return dict(stored)
        arrays = compute()
        with contextlib.suppress(OSError):
            self._write(path, arrays)
        return arrays

    def _write(self, path: Path, arrays: Arrays) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
        try:
            np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        found = sorted(path.parent.glob("*.npz"), key=lambda one: one.stat().st_mtime_ns, reverse=True)
        for old in found[KEPT:]:
            old.unlink(missing_ok=True)


STORE = ArrayStore()
