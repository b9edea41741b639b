"""Properties of all code points, as `tokenizers` itself sees them: its Unicode version is its own.

These functions take up to a second each, and depend on nothing but their arguments and the version of `tokenizers`.
Within a process, they are computed once; the arrays cannot be written to. `STORE` may keep them for further processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from graphs.errors import GraphError
from graphs.functions.text.tables.array_store import STORE, Arrays
from graphs.functions.text.tables.settings import NormalizerOptions

POINTS = 0x110000
SURROGATES = range(0xD800, 0xE000)
# Code points that are given to `tokenizers` at once.
BLOCK = 4096

LETTER, SPACE, ISOLATED = 0, 1, 2


@dataclass(frozen=True)
class NormalizedPoints:
    """The normalized text of each code point: `lengths` [POINTS] uint8, and all characters in order, uint32."""

    lengths: np.ndarray
    characters: np.ndarray


@cache
def normalized_points(options: NormalizerOptions) -> NormalizedPoints:
    """Returns what BertNormalizer makes of each code point alone.

    A text's normalized form is that of its code points, joined, except that NFD sorts combining characters.
    """
    found = _stored("normalized", repr(options), lambda: _normalized(options))
    return NormalizedPoints(found["lengths"], found["characters"])


def _normalized(options: NormalizerOptions) -> Arrays:
    normalizer = normalizers.BertNormalizer(
        clean_text=options.clean_text,
        handle_chinese_chars=options.handle_chinese_chars,
        strip_accents=options.strip_accents,
        lowercase=options.lowercase,
    )
    parts: list[str] = []
    for block in _blocks():
        between = "+" if "!" in block else "!"  # each is its own normalized text, and splits runs of combining marks
        found = normalizer.normalize_str(between.join(block)).split(between)
        parts += found if len(found) == len(block) else [normalizer.normalize_str(point) for point in block]
    lengths = np.array([len(part) for part in parts], np.uint8)
    characters = np.frombuffer("".join(parts).encode("utf-32-le"), np.uint32)
    where = np.zeros(POINTS, np.uint8)
    where[_places()] = lengths
    return {"lengths": where, "characters": characters}


@cache
def pre_tokenizer_kinds() -> np.ndarray:
    """Returns what BertPreTokenizer makes of each code point: LETTER, SPACE or ISOLATED, uint8 [POINTS]."""
    return _stored("kinds", "", _kinds)["kinds"]


def _kinds() -> Arrays:
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found = []
    for block in _blocks():
        text = "a" + "a".join(block) + "a"
        kinds = np.full(len(text), SPACE, np.uint8)
        for _, (start, end) in pre_tokenizer.pre_tokenize_str(text):
            kinds[start:end] = ISOLATED if end == start + 1 else LETTER
        found.append(kinds[1::2])
    result = np.zeros(POINTS, np.uint8)
    result[_places()] = np.concatenate(found)
    return {"kinds": result}


@cache
def word_characters() -> np.ndarray:
    """Returns whether each code point is a word character beside which no token with `single_word` is found."""
    return _stored("words", "", _words)["words"]


def _words() -> Arrays:
    tokenizer = Tokenizer(models.WordLevel({"x": 0, "?": 1}, unk_token="?"))
    tokenizer.add_tokens([AddedToken("x", single_word=True, normalized=False)])
    found = []
    for block in _blocks():
        encoding = tokenizer.encode("".join(f"{point}x " for point in block))
        alone = np.zeros(3 * len(block), bool)
        alone[[start for (start, _), number in zip(encoding.offsets, encoding.ids, strict=True) if number == 0]] = True
        found.append(~alone[1::3])
    result = np.zeros(POINTS, bool)
    result[_places()] = np.concatenate(found)
    return {"words": result}


def check_order(options: NormalizerOptions, characters: Sequence[str]) -> None:
    """Raises GraphError if NFD changes the order of two of these characters: code points are looked up one by one."""
    normalizer = normalizers.BertNormalizer(
        clean_text=False,
        handle_chinese_chars=False,
        strip_accents=options.strip_accents,
        lowercase=options.lowercase,
    )
    for i, first in enumerate(characters):
        for second in characters[:i]:
            if normalizer.normalize_str(f"a{first}{second}") == normalizer.normalize_str(f"a{second}{first}"):
                raise GraphError(
                    f"The vocabulary has the characters U+{ord(first):04X} and U+{ord(second):04X}, which NFD sorts, "
                    "expected at most one of both. Tokenize texts for this model with `tokenizers`."
                )


def _stored(name: str, key: str, compute: Callable[[], Arrays]) -> Arrays:
    arrays = STORE.get(name, f"{tokenizers.__version__} {key}", compute)
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


def _places() -> np.ndarray:
    points = np.arange(POINTS)
    return points[(points < SURROGATES.start) | (points >= SURROGATES.stop)]


def _blocks() -> Iterator[list[str]]:
    places = _places()
    for begin in range(0, len(places), BLOCK):
        yield [chr(point) for point in places[begin : begin + BLOCK]]
