"""WordPiece: the longest entry that begins at each place, and which of them are the tokens of a word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphs.functions.text.body.nodes import Nodes, i32, i64
from graphs.functions.text.body.normalized import Symbols
from graphs.functions.text.body.trie import Trie
from graphs.functions.text.tables.tables import Tables

WORD_ROOT, INNER_ROOT = 0, 1


@dataclass(frozen=True)
class Tokens:
    """The tokens of all texts: ids and first bytes [tokens], int64.

    `add_spans` adds the nodes of spans [tokens, 4]: the first byte of a token, the byte after its last, and those two
    of its word.
    """

    ids: str
    begins: str
    add_spans: Callable[[], str]


def tokenize(g: Nodes, tables: Tables, trie: Trie, stream: Symbols) -> Tokens:
    """Cuts the words of a stream, whose last symbol is the end of a text, into tokens."""
    symbols = stream.symbols
    letter, solid = g("Greater", symbols, i32(tables.last_isolated)), g("Greater", symbols, i32(tables.last_space))
    false, true = np.array([False]), np.array([True])
    outside = g("Not", g("And", letter, g.before(letter, false)))  # no letter, or the first of its word
    start = g("And", solid, outside)
    words = g("Sub", g("CumSum", g.int32(start), i64(0)), i32(1))  # of each symbol in a word
    places = g.range(g.size(symbols))
    starts, lasts = g.only(places, start), g.only(places, g("And", solid, g.behind(outside, true)))
    roots = g("Where", start, i32(tables.roots[WORD_ROOT]), i32(tables.roots[INNER_ROOT]))
    padded = g.join(symbols, i32([0] * tables.longest))
    slots = trie.walk(padded, places, roots, tables.longest)
    lengths = trie.length(slots)
    # Tokens begin where one gets from the start of a word, token by token. In each round, twice as many are known.
    following, reached = g("Add", g.int32(places), lengths), g.int32(start)
    for doubling in range(max(tables.settings.longest_word - 1, 1).bit_length()):
        following = g("Gather", following, following) if doubling else following
        reached = g.scatter(reached, following, reached, "max")
    begun = g("And", g.bool(reached), solid)
    stuck = g.int32(g("And", begun, g("Equal", lengths, i32(0))))
    long = g("GreaterOrEqual", g("Sub", lasts, starts), i64(tables.settings.longest_word))
    # One word more, which is never unknown: that of symbols before the first word, whose number is −1.
    unknown = g.bool(g.scatter(g.join(g.int32(long), i32([0])), words, stuck, "max"))
    token = g.only(places, g("And", begun, g("Or", start, g("Not", g("Gather", unknown, words)))))
    word = g("Gather", words, token)
    unknown = g("Gather", unknown, word)
    number = trie.entry(g("Gather", slots, token))
    ids = g.int64(g("Where", unknown, i32(tables.settings.unknown), number))
    begins = g("Gather", stream.begins, token)

    def add_spans() -> str:
        last_of_word = g("Gather", lasts, word)
        last = g("Sub", g("Add", token, g.int64(g("Gather", lengths, token))), i64(1))
        last = g("Where", unknown, last_of_word, last)
        spans = (
            begins,
            g("Gather", stream.ends, last),
            g("Gather", stream.begins, g("Gather", starts, word)),
            g("Gather", stream.ends, last_of_word),
        )
        return g("Concat", *map(g.column, spans), axis=1)

    return Tokens(ids, begins, add_spans)
