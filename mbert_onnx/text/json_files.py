"""Parser of JSON that other programs wrote: every Unicode encoding of JSON, and reasons in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Digits of the longest integer that is read. Python refuses to parse or print more than 4,300 of them, with advice for
# programmers; no number of a config has more than ten.
LONGEST_INTEGER = 1000
# Characters of a value that a message shows.
SHOWN_VALUE = 60


def read_json(path: Path) -> Any:
    """Parses a file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark, which editors on Windows write.

    Raises OSError, or ValueError with the reason in one line.
    """
    return parse_json(path.read_bytes())


def parse_json(source: str | bytes) -> Any:
    """Parses a JSON text. Raises ValueError with the reason in one line."""
    try:
        return json.loads(source, parse_int=_integer)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise ValueError(f"a number has {len(digits):,} digits, expected at most {LONGEST_INTEGER:,}: {digits[:10]}…")
    return int(digits)


def brief(value: object) -> str:
    """Returns a value of a file as a message shows it: its repr, or the start of a long one."""
    text = repr(value)
    return text if len(text) <= SHOWN_VALUE else f"{text[:SHOWN_VALUE]}… ({len(text):,} characters)"
