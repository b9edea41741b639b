"""Texts as UTF-8 bytes, which a text file counts, and as characters, which `tokenizers` counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np

# Byte that stands between texts that are encoded at once, so that each has a place for its end.
END = "\n"
# The two upper bits of a byte that continues a character.
UPPER, CONTINUES = 0b11000000, 0b10000000


@dataclass(frozen=True)
class Texts:
    """Texts, and where their characters are.

    Args:
        data: The bytes of each text.
        strings: The characters of each text; each invalid piece is one U+FFFD.
        places: The first byte, in its own text, of each character of all texts, and behind those of a text its number
            of bytes.
        firsts: The number in `places` of each text's first character.
    """

    data: list[bytes]
    strings: list[str]
    places: np.ndarray
    firsts: np.ndarray

    def __len__(self) -> int:
        return len(self.data)

    @classmethod
    def of(cls, texts: Sequence[str | bytes]) -> Texts:
        """Returns texts that are given as characters or bytes. Characters must not be surrogates."""
        data = [text.encode() if isinstance(text, str) else text for text in texts]
        strings = [text if isinstance(text, str) else text.decode(errors="replace") for text in texts]
        firsts = np.fromiter(accumulate((len(text) + 1 for text in strings), initial=0), np.int64, len(texts) + 1)[:-1]
        if any(isinstance(text, bytes) for text in texts):
            places = [
                _places(text) if "\ufffd" in decoded else _valid_places(decoded)
                for text, decoded in zip(data, strings, strict=True)
            ]
            return cls(data, strings, np.concatenate([*places, np.zeros(0, np.int64)]), firsts)
        every = _valid_places(END.join(strings))
        return cls(data, strings, every - np.repeat(every[firsts], np.diff(firsts, append=len(every))), firsts)

    def chosen(self, numbers: np.ndarray) -> Texts:
        """Returns the texts of these numbers."""
        return Texts.of([self.data[number] for number in numbers.tolist()])

    def spans(self, numbers: np.ndarray, characters: np.ndarray) -> np.ndarray:
        """Returns spans of characters as spans of bytes, both [n, 2] in the text of each number [n]."""
        found: np.ndarray = self.places[self.firsts[numbers][:, None] + characters]
        return found

    def joined(self, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the bytes of texts one after the other, and their row splits, as Tokenize takes them."""
        some = self.data[begin:end]
        splits = np.fromiter(chain([0], accumulate(map(len, some))), np.int64, len(some) + 1)
        return np.frombuffer(b"".join(some), np.uint8), splits


def _valid_places(text: str) -> np.ndarray:
    """Returns the first byte of each character, and the number of bytes."""
    data = np.frombuffer(text.encode(), np.uint8)
    return np.append(np.flatnonzero((data & UPPER) != CONTINUES), len(data))


def _places(data: bytes) -> np.ndarray:
    """Returns the first byte of each character, where an invalid piece is one, and the number of bytes."""
    parts, place = list[np.ndarray](), 0
    while True:
        try:
            return np.concatenate([*parts, _valid_places(data[place:].decode()) + place])
        except UnicodeDecodeError as error:
            parts.append(_valid_places(data[place : place + error.start].decode()) + place)
            place += error.end
