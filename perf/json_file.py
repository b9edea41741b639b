"""Reports as files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perf.errors import PerfError


def write_json(path: Path, told: Mapping[str, Any]) -> None:
    """Write the JSON beside its place, then rename it there: nobody ever reads half a report.

    Raises:
        PerfError: the file cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    text = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise PerfError(
            f"cannot write {path}: {error.strerror}; expected a file in a folder that exists and may be written: "
            "name another place"
        ) from None
