"""Parser of JSON text, with reasons in one line."""

from __future__ import annotations

import json
from typing import Any

# Digits of the longest integer that is read. Python refuses to parse more than 4,300 of them, with advice for
# programmers; no number of a report has more than twenty.
LONGEST_INTEGER = 1000


def parse_json(source: str) -> Any:
    """Parses a JSON text. Raises ValueError with the reason in one line."""
    try:
        return json.loads(source, parse_int=_integer)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise ValueError(f"a number has {len(digits):,} digits, expected at most {LONGEST_INTEGER:,}: {digits[:10]}…")
    return int(digits)
