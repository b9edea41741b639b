"""Reports as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perf.results.file_writer import writing_file


def write_json(path: Path, told: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write the JSON beside its place, then rename it there: nobody ever reads half a report.

    Raises:
        PerfError: the file cannot be written.
    """
    text = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with writing_file(path) as beside:
        beside.write_text(text, encoding="utf-8")
