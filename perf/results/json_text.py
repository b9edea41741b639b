"""Parser of JSON text, with reasons in one line, and with text that every output can take."""

from __future__ import annotations

import json
import re
from typing import Any

# Digits of the longest integer that is read. Python refuses to parse more than 4,300 of them, with advice for
# programmers; no number of a report has more than twenty.
LONGEST_INTEGER = 1000

# NUL and other control characters, which fonts and terminals do not take; changes of the writing direction, which would
# change the text around a name; halves of characters, which UTF-8 does not have.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def parse_json(source: str) -> Any:
    """Parses a JSON text. Raises ValueError with the reason in one line."""
    try:
        return json.loads(source, parse_int=_integer)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def printable(content: Any) -> Any:
    """Replaces by ? the characters in the text of parsed JSON that cannot be drawn, printed or written."""
    if isinstance(content, dict):
        return {printable(key): printable(value) for key, value in content.items()}
    if isinstance(content, list):
        return [printable(value) for value in content]
    return _UNPRINTABLE.sub("?", content) if isinstance(content, str) else content


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise ValueError(f"a number has {len(digits):,} digits, expected at most {LONGEST_INTEGER:,}: {digits[:10]}…")
    return int(digits)
