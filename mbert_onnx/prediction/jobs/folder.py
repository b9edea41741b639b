"""Names of a job's files beside its output and in its folder of parts. Only files of these names are ever removed."""

from __future__ import annotations

import json
import re

from mbert_onnx.bundles.atomic import PARTIAL

PARTS, ERRORS = ".parts", ".errors.jsonl"
MANIFEST, LOCK = "manifest.json", "lock"
_PART = re.compile(r"part-(\d{5,})(\.errors\.jsonl|\.(csv|tsv|jsonl|parquet)(\.gz)?)")
# Bytes in which the first line of a list of bad rows ends.
FIRST_LINE = 2**20


def part_name(number: int) -> str:
    """Returns the name of a part, without a suffix."""
    return f"part-{number:05d}"


def is_own(name: str, size: int, output: str, parts: int | None) -> bool:
    """Returns whether a file in the folder of parts was written by a job.

    Args:
        name: Its name.
        size: Its size in bytes.
        output: The name of the job's output.
        parts: How many parts the manifest lists, or has listed; None where there is no manifest, and so no part.
    """
    if name == LOCK:
        return size == 0
    whole = name.removeprefix(PARTIAL)
    if whole == MANIFEST:
        return name != whole or parts is not None
    if whole in (output, output + ERRORS):
        return name != whole and (parts is not None or size == 0)
    part = _PART.fullmatch(whole)
    return parts is not None and part is not None and int(part[1]) <= parts


def lists_bad_rows(start: bytes) -> bool:
    """Returns whether the first line of a file, which begins with `start`, is that of a list of bad rows."""
    try:
        return set(json.loads(start.partition(b"\n")[0])) == {"file", "line", "reason"}
    except (ValueError, TypeError):
        return False
