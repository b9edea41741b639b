"""Tables and attributes of the text functions for one tokenizer; their layouts are in docs/development/tokenize.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphs.functions.text.tables.double_array import double_array
from graphs.functions.text.tables.settings import TokenizerSettings
from graphs.functions.text.tables.symbols import Symbols, SymbolTables, symbol_tables

# Sizes of blocks of code points that are tried, as powers of 2.
SHIFTS = range(5, 8)


@dataclass(frozen=True)
class Contents:
    """Contents of added tokens that a body looks for, and which of the flags they have at all.

    `rows` has the row of each content in the table `added`; `longest` is the most symbols in one, 0 without any;
    `overlap`: whether two matches can overlap.
    """

    rows: dict[Symbols, int]
    longest: int = 0
    overlap: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    as_text: bool = False


@dataclass(frozen=True)
class Tables:
    """The tables of a tokenizer by name, in the order of the functions' inputs, and what the body has as constants.

    `longest` is the most symbols in an entry of the vocabulary.
    """

    arrays: dict[str, np.ndarray]
    settings: TokenizerSettings
    shift: int
    roots: tuple[int, ...]
    last_space: int
    last_isolated: int
    first_added: int
    first_raw: int
    longest: int
    raw: Contents
    normalized: Contents


def make_tables(settings: TokenizerSettings) -> Tables:
    """Returns the tables of a tokenizer. Raises GraphError for one that is not supported."""
    symbols = symbol_tables(settings)
    shift, blocks, classes = min((_blocks(symbols.classes, shift) for shift in SHIFTS), key=_size)
    trie = double_array(symbols.tries)
    added = [(token.id, _flags(settings, row)) for row, token in enumerate(settings.added)]
    return Tables(
        arrays={
            "blocks": blocks,
            "classes": classes,
            "expansions": symbols.expansions,
            "raw_symbols": symbols.raw_symbols,
            "class_flags": symbols.class_flags,
            "symbol_flags": symbols.symbol_flags,
            "added": np.array(added or [(0, 0)], np.int32),
            "check": trie.check,
            "base": _narrow(trie.base),
            "entries": _narrow(trie.ids),
            "lengths": trie.lengths,
        },
        settings=settings,
        shift=shift,
        roots=trie.roots,
        last_space=symbols.last_space,
        last_isolated=symbols.last_isolated,
        first_added=symbols.first_added,
        first_raw=symbols.first_raw,
        longest=max((len(entry) for trie in symbols.tries[:2] for entry in trie), default=1),
        raw=_describe(settings, symbols, 2),
        normalized=_describe(settings, symbols, 3),
    )


def _narrow(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint16 if values.max() <= np.iinfo(np.uint16).max else np.int32)


def _flags(settings: TokenizerSettings, row: int) -> int:
    token = settings.added[row]
    return token.lstrip + 2 * token.rstrip + 4 * token.single_word + 8 * token.as_text


def _blocks(classes: np.ndarray, shift: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Returns the classes in two levels, of which equal blocks are stored once."""
    padded = np.pad(classes, (0, -len(classes) % (1 << shift))).astype(np.uint16).reshape(-1, 1 << shift)
    distinct, index = np.unique(padded.view(f"V{2 << shift}"), return_inverse=True)
    return shift, index.reshape(-1).astype(np.uint16), distinct.view(np.uint16).reshape(-1)


def _size(levels: tuple[int, np.ndarray, np.ndarray]) -> int:
    return levels[1].nbytes + levels[2].nbytes


def _describe(settings: TokenizerSettings, symbols: SymbolTables, root: int) -> Contents:
    contents = symbols.tries[root]
    tokens = [settings.added[row] for row in contents.values()]
    return Contents(
        rows=contents,
        longest=max(map(len, contents), default=0),
        overlap=_overlap(set(contents)),
        lstrip=any(token.lstrip for token in tokens),
        rstrip=any(token.rstrip for token in tokens),
        single_word=any(token.single_word for token in tokens),
        as_text=any(token.as_text for token in tokens),
    )


def _overlap(contents: set[tuple[int, ...]]) -> bool:
    """Returns whether one of these sequences can begin inside another one."""
    prefixes = {content[:end] for content in contents for end in range(1, len(content) + 1)}
    for content in contents:
        for begin in range(1, len(content)):
            rest = content[begin:]
            if rest in prefixes or any(rest[:end] in contents for end in range(1, len(rest))):
                return True
    return False
