"""Atomic file writer: a file is complete or absent, because it is written beside its place and then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perf.errors import PerfError


@contextmanager
def writing_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path with the same suffix, renamed to `path` at the block's end, or removed if it fails.

    Raises PerfError where the file cannot be written.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        # Renaming would replace it; root could replace /dev/null.
        raise PerfError(f"cannot write {path}: it is a pipe or device; name another place")
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


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Writes JSON atomically, so that a reader never sees a part of it.

    Raises PerfError where the file cannot be written.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with writing_file(path) as beside:
        beside.write_text(text, encoding="utf-8")
