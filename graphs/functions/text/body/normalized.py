"""Normalized text as symbols, with added tokens in the place of their contents."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.functions.text.body.added_tokens import find_matches
from graphs.functions.text.body.nodes import Nodes, i32, i64
from graphs.functions.text.body.trie import Trie
from graphs.functions.text.body.utf8 import Characters
from graphs.functions.text.tables.symbols import SPACE_SYMBOL, WHITE_SPACE, WORD
from graphs.functions.text.tables.tables import Tables

RAW_ROOT, NORMALIZED_ROOT = 2, 3


@dataclass(frozen=True)
class Symbols:
    """The symbols of a stream, int32, none of them 0; the first byte of each, and the byte after its last, int64."""

    symbols: str
    begins: str
    ends: str


def normalize(g: Nodes, tables: Tables, trie: Trie, characters: Characters) -> Symbols:
    """Looks up classes, finds the raw added tokens, and expands classes to symbols."""
    classes, ends = _classes(g, tables, characters.points), characters.ends
    if tables.raw.longest:
        classes, ends = _with_raw(g, tables, trie, classes, ends)
    return _expanded(g, tables, classes, characters.begins, ends)


def with_normalized(g: Nodes, tables: Tables, trie: Trie, stream: Symbols) -> Symbols:
    """Finds the normalized added tokens."""
    contents, symbols = tables.normalized, stream.symbols
    words = spaces = None
    if contents.single_word:
        words = g.bool(g("Gather", g.int32("symbol_flags"), symbols))
    if contents.lstrip or contents.rstrip:
        above, below = i32(SPACE_SYMBOL), i32(tables.last_space)
        spaces = g("And", g("GreaterOrEqual", symbols, above), g("LessOrEqual", symbols, below))
    places = g.range(g.size(symbols))
    root = tables.roots[NORMALIZED_ROOT]
    matches = find_matches(g, trie, contents, symbols, places, root, words=words, spaces=spaces)
    replaced = matches.replace(g, symbols, tables.first_added)
    kept = g.where(replaced)
    ends = matches.end_bytes(g, stream.ends)
    return Symbols(g("Gather", replaced, kept), g("Gather", stream.begins, kept), g("Gather", ends, kept))


def _classes(g: Nodes, tables: Tables, points: str) -> str:
    size = 1 << tables.shift
    block = g("Mul", g("Gather", g.int32("blocks"), g("Div", points, i32(size))), i32(size))
    return g("Gather", g.int32("classes"), g("Add", block, g("BitwiseAnd", points, i32(size - 1))))


def _with_raw(g: Nodes, tables: Tables, trie: Trie, classes: str, ends: str) -> tuple[str, str]:
    """Returns the classes with raw added tokens, and the byte behind each character."""
    contents = tables.raw
    stream = g("Gather", g.int32("raw_symbols"), classes)
    strips = contents.lstrip or contents.rstrip
    flags = g("Gather", g.int32("class_flags"), classes) if strips or contents.single_word else None
    matches = find_matches(
        g,
        trie,
        contents,
        stream,
        g.where(g("GreaterOrEqual", stream, i32(tables.first_raw))),
        tables.roots[RAW_ROOT],
        words=_has(g, flags, WORD) if flags and contents.single_word else None,
        spaces=_has(g, flags, WHITE_SPACE) if flags and strips else None,
    )
    first = len(tables.arrays["expansions"]) - len(tables.settings.added)
    return matches.replace(g, classes, first), matches.end_bytes(g, ends)


def _expanded(g: Nodes, tables: Tables, classes: str, begins: str, ends: str) -> Symbols:
    """Returns the symbols of the classes of characters, with the bytes of their characters."""
    width = tables.arrays["expansions"].shape[1]
    symbols = g.flat(g("Gather", g.int32("expansions"), classes))
    places = g.where(symbols)
    symbols = g("Gather", symbols, places)
    sources = places if width == 1 else g("Div", places, i64(width))
    return Symbols(symbols, g("Gather", begins, sources), g("Gather", ends, sources))


def _has(g: Nodes, flags: str, bit: int) -> str:
    return g("Greater", g("BitwiseAnd", flags, i32(bit)), i32(0))
