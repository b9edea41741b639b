"""A file is complete or absent: it is written beside its place, and moved there in one step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perf.errors import PerfError


@contextmanager
def writing_file(path: Path) -> Iterator[Path]:
    """Gives a path of the same ending to write to, which becomes `path` when the block ends, and vanishes if it fails.

    Raises PerfError where the file cannot be written.
    """
    beside = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        try:
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise PerfError(
            f"cannot write {path}: {error.strerror}; expected a file in a folder that exists and may be written: "
            "name another place"
        ) from None
