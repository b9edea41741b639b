"""Classes of code points, symbols of normalized characters, and the vocabulary in these symbols."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import normalizers

from graphs.errors import GraphError
from graphs.functions.text.tables.code_points import (
    ISOLATED,
    LETTER,
    POINTS,
    SPACE,
    NormalizedPoints,
    check_order,
    normalized_points,
    pre_tokenizer_kinds,
    word_characters,
)
from graphs.functions.text.tables.double_array import FREE
from graphs.functions.text.tables.settings import ADVICE, AddedToken, TokenizerSettings

# Bits of `class_flags` and `symbol_flags`.
WORD, WHITE_SPACE = 1, 2
# Class 0 is dropped, class 1 ends a text; so does symbol 1. Symbol 2 is white space that is in no added token.
END_CLASS, END_SYMBOL, SPACE_SYMBOL = 1, 1, 2
# The longest entry that `lengths` can hold.
LONGEST = 255

Symbols = tuple[int, ...]


@dataclass(frozen=True)
class SymbolTables:
    """The tables of classes and symbols, see docs/development/tokenize.md, and the four tries.

    `rows` has a class in each row: its symbols, its raw symbol, its flags. `classes` [POINTS + 1] has the class of each
    code point, and of the end of a text. `first_raw` is the first raw symbol that can begin an added token.
    """

    classes: np.ndarray
    expansions: np.ndarray
    raw_symbols: np.ndarray
    class_flags: np.ndarray
    symbol_flags: np.ndarray
    last_space: int
    last_isolated: int
    first_added: int
    first_raw: int
    tries: tuple[dict[Symbols, int], ...]


@dataclass(frozen=True)
class _Contents:
    """The contents of added tokens with their rows: those found in the text, and in the normalized text."""

    raw: dict[str, int]
    normalized: dict[str, int]

    @property
    def all_normalized(self) -> str:
        return "".join(self.normalized)


def symbol_tables(settings: TokenizerSettings) -> SymbolTables:
    """Returns the tables of a tokenizer. Raises GraphError for a vocabulary whose characters NFD sorts."""
    contents = _contents(settings)
    points = normalized_points(settings.normalizer)
    kinds = pre_tokenizer_kinds().copy()
    raw = [settings.added[row] for row in contents.raw.values()]
    normalized = [settings.added[row] for row in contents.normalized.values()]
    words = word_characters() if any(token.single_word for token in settings.added) else np.zeros(POINTS, bool)
    spaced = _spaced(points) if settings.normalizer.handle_chinese_chars else np.zeros(POINTS, bool)
    kinds[np.unique(_column(points, 1)[spaced])] = ISOLATED
    # Spaces around a CJK character change no word; only added tokens can see them.
    keeps_spaces = any(any(map(str.isspace, content)) for content in contents.normalized) or any(
        map(_looks, normalized)
    )
    numbers = _Numbering(settings, points, kinds, words, contents, any(token.single_word for token in normalized))
    columns = [numbers.of_character[_column(points, i)] for i in range(int(points.lengths.max()))]
    columns = [np.where(points.lengths > i, column, 0) for i, column in enumerate(columns)]
    if spaced.any() and not keeps_spaces:
        columns[0] = np.where(spaced, columns[1], columns[0])
        columns[1:] = [np.where(spaced, 0, column) for column in columns[1:]]
        columns = columns[: max(i for i, column in enumerate(columns) if i == 0 or column.any()) + 1]
    raw_symbols, first_raw = _raw_symbols(contents.raw)
    columns.append(np.zeros(POINTS, np.uint16))
    for character, symbol in raw_symbols.items():
        columns[-1][ord(character)] = symbol
    columns.append(np.zeros(POINTS, np.uint16))
    if any(token.single_word for token in raw):
        columns[-1] += words.astype(np.uint16) * WORD
    if any(token.lstrip or token.rstrip for token in raw):
        columns[-1] += (kinds == SPACE).astype(np.uint16) * WHITE_SPACE
    classes, rows = _classes(columns, settings, numbers.first_added)
    return SymbolTables(
        classes=np.append(classes, END_CLASS),
        expansions=rows[:, :-2].astype(np.uint16),
        raw_symbols=rows[:, -2].astype(np.uint16),
        class_flags=rows[:, -1].astype(np.uint8),
        symbol_flags=numbers.flags,
        last_space=numbers.last_space,
        last_isolated=numbers.last_isolated,
        first_added=numbers.first_added,
        first_raw=first_raw,
        tries=(
            numbers.entries(settings.vocabulary, "", settings.longest_word)
            | {(numbers.first_added + row,): token.id for row, token in enumerate(settings.added)},
            numbers.entries(settings.vocabulary, settings.prefix, settings.longest_word - 1, inner=True),
            {tuple(raw_symbols[character] for character in content): row for content, row in contents.raw.items()},
            {numbers.symbols(content): row for content, row in contents.normalized.items()},
        ),
    )


class _Numbering:
    """The numbers of symbols: by kind, unknown characters before those of the vocabulary."""

    def __init__(
        self,
        settings: TokenizerSettings,
        points: NormalizedPoints,
        kinds: np.ndarray,
        words: np.ndarray,
        contents: _Contents,
        tells_words: bool,
    ) -> None:
        occurring = np.zeros(POINTS, bool)
        occurring[points.characters] = True
        self._kinds = kinds
        content_characters = set(contents.all_normalized)
        entries = _usable(settings, kinds)
        known = {c for c in {*"".join(entries), *content_characters} if occurring[ord(c)]}
        if settings.normalizer.decomposes:
            check_order(settings.normalizer, sorted(c for c in known if unicodedata.combining(c)))
        of_kind = {kind: sorted(c for c in known if kinds[ord(c)] == kind) for kind in (SPACE, ISOLATED, LETTER)}
        unknown = [None, None] if tells_words else [None]  # no word character, and word character
        ordered: list[str | None] = [None, None, None, *(c for c in of_kind[SPACE] if c in content_characters)]
        self.last_space = len(ordered) - 1
        isolated = len(ordered)
        ordered += [*unknown, *of_kind[ISOLATED]]
        self.first_added = len(ordered)
        ordered += [None] * len(settings.added)
        self.last_isolated = len(ordered) - 1
        letter = len(ordered)
        ordered += [*unknown, *of_kind[LETTER]]
        if len(ordered) > FREE - 1:
            raise GraphError(f"The vocabulary has {len(ordered)} characters, expected at most {FREE - 1}. {ADVICE}")
        self._number = {c: number for number, c in enumerate(ordered) if c is not None}
        word = words.astype(np.uint16) if tells_words else np.zeros(POINTS, np.uint16)
        self.of_character = np.where(
            kinds == SPACE, SPACE_SYMBOL, np.where(kinds == ISOLATED, isolated, letter) + word
        ).astype(np.uint16)
        self.flags = np.zeros(len(ordered), np.uint8)
        for character, number in self._number.items():
            self.of_character[ord(character)] = number
            self.flags[number] = WORD * int(word[ord(character)])
        if tells_words:
            self.flags[[isolated + 1, letter + 1]] = WORD

    def symbols(self, text: str) -> Symbols:
        return tuple(self._number[character] for character in text)

    def entries(self, vocabulary: dict[str, int], prefix: str, longest: int, inner: bool = False) -> dict[Symbols, int]:
        """Returns the entries of the vocabulary that a word can contain, without their prefix."""
        found = {}
        for entry, number in vocabulary.items():
            text = entry.removeprefix(prefix)
            if entry.startswith(prefix) and 0 < len(text) <= longest and _is_word(text, self._kinds, inner):
                if len(text) > LONGEST:
                    raise GraphError(
                        f"The vocabulary has an entry of {len(text)} characters, expected at most {LONGEST}. {ADVICE}"
                    )
                if all(character in self._number for character in text):
                    found[self.symbols(text)] = number
        return found


def _contents(settings: TokenizerSettings) -> _Contents:
    options = settings.normalizer
    normalizer = normalizers.BertNormalizer(
        clean_text=options.clean_text,
        handle_chinese_chars=options.handle_chinese_chars,
        strip_accents=options.strip_accents,
        lowercase=options.lowercase,
    )
    found = _Contents({}, {})
    for row, token in enumerate(settings.added):
        content = normalizer.normalize_str(token.content) if token.normalized else token.content
        if not content:
            raise GraphError(
                f"The added token {token.content!r} has no character after normalization, expected one. Remove it."
            )
        if len(content) > LONGEST:
            raise GraphError(
                f"The added token {token.content!r} has {len(content)} characters, expected at most {LONGEST}. {ADVICE}"
            )
        (found.normalized if token.normalized else found.raw).setdefault(content, row)
    return found


def _looks(token: AddedToken) -> bool:
    """Returns whether the characters beside a match of this token matter."""
    return token.lstrip or token.rstrip or token.single_word


def _usable(settings: TokenizerSettings, kinds: np.ndarray) -> Iterable[str]:
    """Yields the entries of the vocabulary that a word can contain."""
    for entry in settings.vocabulary:
        if _is_word(entry, kinds, inner=False):
            yield entry
        inner = entry.removeprefix(settings.prefix)
        if entry.startswith(settings.prefix) and _is_word(inner, kinds, inner=True):
            yield inner


def _is_word(text: str, kinds: np.ndarray, inner: bool) -> bool:
    """Returns whether the pre-tokenizer leaves this text whole, in a word: no walk then leaves its word."""
    of_text = kinds[[ord(character) for character in text]]
    return bool((of_text == LETTER).all() or (not inner and len(text) == 1 and of_text[0] == ISOLATED))


def _column(points: NormalizedPoints, place: int) -> np.ndarray:
    """Returns the normalized character of each code point at this place; any character where it is shorter."""
    ends = np.cumsum(points.lengths, dtype=np.int64)
    found: np.ndarray = points.characters[np.minimum(ends - points.lengths + place, len(points.characters) - 1)]
    return found


def _spaced(points: NormalizedPoints) -> np.ndarray:
    """Returns for each code point whether the normalizer has put spaces around it."""
    first, middle, last = (_column(points, place) for place in range(3))
    found: np.ndarray = (points.lengths == 3) & (first == ord(" ")) & (last == ord(" ")) & (middle != ord(" "))
    assert np.isin(points.characters, middle[found]).sum() == found.sum(), "a CJK character without spaces around it"
    return found


def _raw_symbols(contents: Iterable[str]) -> tuple[dict[str, int], int]:
    """Returns the numbers of the characters of contents, and the first number of those that begin one."""
    begins = sorted({content[0] for content in contents})
    others = sorted({*"".join(contents)} - {*begins})
    return {character: number for number, character in enumerate([*others, *begins], 1)}, len(others) + 1


def _classes(
    columns: Sequence[np.ndarray], settings: TokenizerSettings, first_added: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the class of each code point, and the row of each class: equal rows are one class."""
    keys = np.zeros(POINTS, np.int64)
    for column in columns:
        keys = np.unique(keys * (FREE + 1) + column, return_inverse=True)[1].reshape(-1)
    _, places = np.unique(keys, return_index=True)
    found = np.stack([column[places] for column in columns], axis=1).astype(np.int64)
    fixed = np.zeros((2, len(columns)), np.int64)
    fixed[END_CLASS, 0] = END_SYMBOL
    numbers, rows = np.zeros(len(found), np.int64), list(fixed)
    for place, row in enumerate(found):
        same = np.flatnonzero((fixed == row).all(axis=1))
        numbers[place] = same[0] if len(same) else len(rows)
        if not len(same):
            rows.append(row)
    for row in range(len(settings.added)):
        rows.append(np.zeros(len(columns), np.int64))
        rows[-1][0] = first_added + row
    if len(rows) > FREE:
        raise GraphError(f"The tokenizer needs {len(rows)} classes of characters, expected at most {FREE}. {ADVICE}")
    return numbers[keys], np.stack(rows)
