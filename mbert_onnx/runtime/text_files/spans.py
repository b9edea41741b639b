"""Spans of a text: bytes of its UTF-8 form, which a text file counts, to characters, which Python counts."""

from __future__ import annotations

import numpy as np

# The two upper bits of a byte that continues a character.
UPPER, CONTINUES = 0b11000000, 0b10000000


def encoded(text: str) -> np.ndarray:
    """Returns the UTF-8 bytes of a text, uint8 [bytes]."""
    return np.frombuffer(text.encode(), np.uint8)


def in_characters(data: np.ndarray, spans: np.ndarray) -> list[tuple[int, int]]:
    """Returns spans [n, 2] of bytes as [start, end) in characters.

    Args:
        data: The bytes of the text.
        spans: Numbers of bytes, at the beginnings of characters.
    """
    begins = np.concatenate([[0], np.cumsum((data & UPPER) != CONTINUES)])
    return [(int(begins[start]), int(begins[end])) for start, end in spans.reshape(-1, 2)]
