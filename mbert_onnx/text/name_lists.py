"""Lists of names in messages: the first names, and the number of the others."""

from __future__ import annotations

from collections.abc import Iterable

# Names that a message shows, and characters of each. A file may have thousands of names, and a damaged one long ones.
SHOWN_NAMES, SHOWN_CHARACTERS = 8, 200


def name_list(names: Iterable[object], shown: int = SHOWN_NAMES, characters: int = SHOWN_CHARACTERS) -> str:
    """Joins names for one line of a message: `a, b, c and 7 others`, or `none`.

    Args:
        names: Tensors, columns, files, labels or tokens.
        shown: The number of names that are shown; the others are counted.
        characters: The number of characters after which a name is cut.
    """
    whole = [str(name) for name in names]
    parts = ", ".join(_printable(name, characters) for name in whole[:shown]) or "none"
    others = len(whole) - shown
    return parts if others <= 0 else f"{parts} and {others:,} {'other' if others == 1 else 'others'}"


def _printable(name: str, characters: int) -> str:
    shown = name if len(name) <= characters else f"{name[:characters]}…"
    return shown if shown.isprintable() else repr(shown)
