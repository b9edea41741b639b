"""The bytes of all texts as one stream, with a separator behind each text: no later step looks across a text's end."""

from __future__ import annotations

from graphs.functions.text.body.nodes import Nodes, i32, i64
from graphs.functions.text.body.utf8 import LOOKAHEAD, SEPARATOR


def text_count(g: Nodes) -> str:
    """Returns the number of texts, int64 [1]: there is at least one, all bytes, whatever the splits are."""
    return g("Max", g("Sub", g.size("row_splits"), i64([1])), i64([1]))


def read_texts(g: Nodes, pair: bool) -> str:
    """Reads `text` and `row_splits`, and with `pair` also `pair` and `pair_splits`.

    Returns the stream, int32 [bytes + texts + LOOKAHEAD]. Of pairs, it has all texts first, then their pairs.
    """
    splits, data = _inner_splits(g, "row_splits", "text"), "text"
    if pair:
        length, pair_length = g.size("text"), g.size("pair")
        count = text_count(g)
        more = g.join("pair_splits", g("Expand", pair_length, count))
        inner = _clipped(g, g.slice(more, i64([1]), count), pair_length)
        splits, data = g.join(splits, length, g("Add", inner, length)), g.join("text", "pair")
    size = g.size(data)
    # The number of splits at or before a byte is the number of separators before it.
    marks = g.full(g("Add", size, i64([1])), i64(0))
    marks = g.scatter(marks, splits, g("Expand", i64([1]), g("Shape", splits)), "add")
    places = g("Add", g.range(size), g.slice(g("CumSum", marks, i64(0)), 0, -1))
    stream = g.full(g("Add", g("Add", size, g.size(splits)), i64([1 + LOOKAHEAD])), i32(SEPARATOR))
    return g.scatter(stream, places, g.int32(data))


def _inner_splits(g: Nodes, splits: str, data: str) -> str:
    return _clipped(g, g.slice(splits, 1, -1), g.size(data))


def _clipped(g: Nodes, splits: str, size: str) -> str:
    return g("Max", g("Min", splits, size), i64([0]))
