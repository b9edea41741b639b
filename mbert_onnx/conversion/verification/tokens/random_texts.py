"""Random texts of each class that a tokenizer treats in its own way; the same seed gives the same texts."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from graphs.functions.text.tables.settings import TokenizerSettings

# Blocks of letters: Latin with accents, Greek, Cyrillic, Armenian, Hebrew, Arabic, Devanagari, Thai, Georgian, jamo,
# Latin with more accents, kana, CJK, Hangul, full width.
SCRIPTS = (
    *((0x41, 0x5B), (0x61, 0x7B), (0xC0, 0x250), (0x370, 0x400), (0x400, 0x530), (0x531, 0x588), (0x5D0, 0x5EB)),
    *((0x620, 0x660), (0x904, 0x93A), (0xE01, 0xE3B), (0x10A0, 0x1100), (0x1100, 0x1200), (0x1E00, 0x2000)),
    *((0x3041, 0x3100), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xFF01, 0xFFEF), (0x20000, 0x20100)),
)
MARKS = (
    *((0x300, 0x370), (0x483, 0x488), (0x591, 0x5BE), (0x610, 0x61B), (0x64B, 0x660), (0x93A, 0x950), (0xE31, 0xE4F)),
    *((0x1AB0, 0x1AC0), (0x1DC0, 0x1E00), (0x20D0, 0x20F1), (0x302A, 0x3030), (0x3099, 0x309B), (0x1D165, 0x1D16D)),
)
PUNCTUATION = (
    *((0x21, 0x30), (0x3A, 0x41), (0x5B, 0x61), (0x7B, 0x7F), (0xA1, 0xC0), (0x2010, 0x2060), (0x3000, 0x3030)),
)
SPACES = (*" \t\n\r\v\f\x1c\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000", "  ", " \n")
DROPPED = (
    *map(chr, (*range(0x20), *range(0x7F, 0xA0))),
    *"\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u202e\u2060\ufe0f\ufeff\ufffc\ufffd\ufdd0\uffff\ue000\u0378",
    *"\U000e0001\U000e01ef\U000f0000\U0010ffff",
)
EMOJI = ("👩", "🔬", "👨‍👧", "🏳️‍🌈", "❤️", "🇩🇪", "👍🏽", "1️⃣", "😀")
DIGITS = (*"0123456789", "٣", "５", "½", "²", "Ⅷ")
# Letters whose lower case or decomposition is long, or depends on their place.
LETTERS = (*"İıſΣςσǅﬁÅßẞéÉöñçĦŁøÆ", "e\u0301", "o\u0308\u0304", "\u1e9b\u0323", "\u212b", "\u0344", "\u0958", "\uac01")
# Bytes that begin, continue or break characters.
BYTES = bytes.fromhex("00204161628084 8f909fa0bfc0c1c2c3dfe0e1edeeeff0f1f3f4f5f8fcfeff".replace(" ", ""))
SURROGATES = (0xD800, 0xE000)
POINTS = 0x110000

Text = str | bytes
# Returns so many texts, from a generator of random numbers.
Draw = Callable[[np.random.Generator, int], Sequence[Text]]


@dataclass(frozen=True)
class TextClass:
    """A class of texts.

    Args:
        name: Its name.
        description: What its texts are.
        draw: Returns so many of them.
    """

    name: str
    description: str
    draw: Draw

    def texts(self, seed: int, chunk: int, count: int) -> Sequence[Text]:
        """Returns `count` texts; another chunk of the same seed has others."""
        return self.draw(np.random.default_rng([seed, chunk, zlib.crc32(self.name.encode())]), count)


def text_classes(settings: TokenizerSettings) -> list[TextClass]:
    """Returns the classes of texts for a tokenizer, whose vocabulary and added tokens are in them."""
    vocabulary = list(settings.vocabulary)
    continuing = [entry for entry in vocabulary if entry.startswith(settings.prefix)]
    # Without a prefix, each entry begins a word, too.
    starts = [entry for entry in vocabulary if not entry.startswith(settings.prefix)] or vocabulary
    inner = [entry for entry in (entry.removeprefix(settings.prefix) for entry in continuing) if entry] or ["s"]
    added = [token.content for token in settings.added] or ["[MASK]"]
    marks, letters, points = _points(MARKS), _points(SCRIPTS), _points(((0, SURROGATES[0]), (SURROGATES[1], POINTS)))
    punctuation = _points(PUNCTUATION)
    ascii_letters = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    cases = [*added, *(token.lower() for token in added), *(token[1:] for token in added), *(t[:-1] for t in added)]
    longest = settings.longest_word

    def near(rng: np.random.Generator, count: int) -> Sequence[Text]:
        return _edited(rng, _joined(rng, count, starts, 1, 4, [" ", " ", ""]), [*ascii_letters, *LETTERS, *marks[:40]])

    def broken(rng: np.random.Generator, count: int) -> Sequence[Text]:
        return _broken(rng, _joined(rng, count, [*starts, *letters, *EMOJI, *DROPPED], 1, 6, ["", " "]))

    def long_words(rng: np.random.Generator, count: int) -> Sequence[Text]:
        units = [*(unit * 9 for unit in ("a", "ab", "é", "e\u0301", "ß")), *inner[:2000], *marks[:9], "\u200b", "x"]
        texts = _joined(rng, count, units, 1, 4, [""])
        lengths = longest + rng.integers(-4, 5, count)
        return [(text * -(-int(size) // len(text)))[:size] for text, size in zip(texts, lengths, strict=True)]

    def of(pool: Sequence[str], low: int, high: int, between: Sequence[str]) -> Draw:
        return lambda rng, count: _joined(rng, count, pool, low, high, between)

    blanks = [" ", " ", " ", "", ". ", ", ", "-", "\n"]
    return [
        TextClass("words", "words of the vocabulary, in any case", of(_cased(starts), 1, 9, blanks)),
        TextClass("compounds", "entries of the vocabulary in one word", of([*starts, *inner, *inner], 2, 9, [""])),
        TextClass("near-words", "words with a letter changed, added, left out", near),
        TextClass("scripts", "letters of many scripts", of([*letters, *LETTERS, *DIGITS], 1, 41, ["", "", "", " "])),
        TextClass("code-points", "any code points", of(points, 1, 31, ["", "", " "])),
        TextClass(
            "marks",
            "letters with combining marks, jamo, emoji",
            of(_balanced(marks, LETTERS, EMOJI, ascii_letters), 1, 31, ["", "", "", " "]),
        ),
        TextClass(
            "added-tokens",
            "added tokens inside of texts, whole and broken",
            of(_balanced(added, cases, SPACES, ascii_letters, [*"._[]#-"], starts[:3000]), 1, 12, ["", "", " "]),
        ),
        TextClass(
            "punctuation", "runs of punctuation and symbols", of(_balanced(punctuation, ascii_letters), 1, 41, [""])
        ),
        TextClass(
            "spaces", "white space, controls, dropped characters", of(_balanced(SPACES, DROPPED, starts), 1, 21, [""])
        ),
        TextClass("long-words", "words of about the longest length that is looked up", long_words),
        TextClass(
            "bytes",
            "random bytes, mostly invalid UTF-8",
            lambda rng, count: [
                text.encode("latin-1") for text in _joined(rng, count, [*BYTES.decode("latin-1")], 0, 31, [""])
            ],
        ),
        TextClass("broken-utf8", "texts with bytes changed, cut off, doubled", broken),
    ]


def _points(blocks: Sequence[tuple[int, int]]) -> list[str]:
    return [chr(point) for first, last in blocks for point in range(first, last)]


def _cased(words: Sequence[str]) -> list[str]:
    return [*words, *words, *(word.capitalize() for word in words), *(word.upper() for word in words)]


def _balanced(*pools: Sequence[str]) -> list[str]:
    """Returns pools in one, each as often as the others."""
    most = max(map(len, pools))
    return [piece for pool in pools for piece in list(pool) * -(-most // len(pool))]


def _joined(
    rng: np.random.Generator, count: int, pool: Sequence[str], low: int, high: int, between: Sequence[str]
) -> list[str]:
    """Returns texts of `low` to `high` − 1 pieces of a pool, with something between them."""
    sizes = rng.integers(low, high, count)
    total = int(sizes.sum())
    pieces = [pool[i] for i in rng.integers(0, len(pool), total).tolist()]
    if len(between) > 1:
        pieces = [
            piece + between[i] for piece, i in zip(pieces, rng.integers(0, len(between), total).tolist(), strict=True)
        ]
    ends = accumulate(sizes.tolist(), initial=0)
    return ["".join(pieces[begin:end]) for begin, end in pairwise(ends)]


def _edited(rng: np.random.Generator, texts: Sequence[str], letters: Sequence[str]) -> list[str]:
    """Returns texts with one character replaced, left out, doubled, or another one added."""
    places, kinds = rng.random(len(texts)), rng.integers(0, 4, len(texts)).tolist()
    chosen = rng.integers(0, len(letters), len(texts)).tolist()
    found = []
    for text, place, kind, letter in zip(texts, places, kinds, chosen, strict=True):
        at = int(place * len(text))
        middle = ("", text[at : at + 1] * 2, letters[letter], letters[letter] + text[at : at + 1])[kind]
        found.append(text[:at] + middle + text[at + 1 :])
    return found


def _broken(rng: np.random.Generator, texts: Sequence[str]) -> list[bytes]:
    """Returns texts as bytes, with one byte replaced, left out, doubled, or the rest cut off."""
    places, kinds = rng.random(len(texts)), rng.integers(0, 4, len(texts)).tolist()
    values = rng.integers(0, 256, len(texts)).tolist()
    found = []
    for text, place, kind, value in zip(texts, places, kinds, values, strict=True):
        data = text.encode()
        at = int(place * len(data))
        middle = (b"", data[at : at + 1] * 2, bytes([value]), b"")[kind]
        found.append(data[:at] + middle + (b"" if kind == 3 else data[at + 1 :]))
    return found
