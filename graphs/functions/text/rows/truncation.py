"""Truncation: how many tokens of a text and of its pair stay in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphs.functions.text.body.nodes import Nodes, Operand, i64
from graphs.functions.text.tables.row_options import RowOptions, Truncation


@dataclass(frozen=True)
class Kept:
    """The tokens that stay of one sequence in each row: the first one among all tokens, and their number, int64."""

    first: Operand
    count: str


def clipped_length(g: Nodes, least: int, limit: int) -> str:
    """Returns `max_length`, int64 [1], in the range that a row can have."""
    return g("Max", g("Min", g("Reshape", "max_length", i64([1])), i64([limit])), i64([least]))


def truncate(g: Nodes, room: Operand, firsts: Sequence[Operand], counts: list[str], options: RowOptions) -> list[Kept]:
    """Returns what stays of a text, or of a text and its pair, in rows with room for so many tokens of both.

    Args:
        room: int64 [1].
        firsts: Of the sequences, the first token of each text, int64 [texts].
        counts: The number of tokens of each text, int64 [texts].
    """
    keep = _kept_counts(g, room, counts, options.truncation)
    return [keep_end(g, *sequence, options) for sequence in zip(firsts, counts, keep, strict=True)]


def keep_end(g: Nodes, first: Operand, count: str, keep: str, options: RowOptions) -> Kept:
    """Returns the first `keep` tokens of a sequence, or its last ones if it is cut on the left."""
    return Kept(g("Add", first, g("Sub", count, keep)) if options.cut_left else first, keep)


def _kept_counts(g: Nodes, room: Operand, counts: list[str], truncation: Truncation) -> list[str]:
    if truncation is Truncation.NONE:
        return counts
    if len(counts) == 1:
        return [g("Min", counts[0], room)]
    text, pair = counts
    if truncation is Truncation.ONLY_PAIR:
        keep = g("Min", text, room)
        return [keep, g("Min", pair, g("Sub", room, keep))]
    if truncation is Truncation.ONLY_TEXT:
        keep = g("Min", pair, room)
        return [g("Min", text, g("Sub", room, keep)), keep]
    # None of both gets less than half of the room, unless it needs less.
    shorter = g("Min", text, pair, g("Div", room, i64([2])))
    longer = g("Min", g("Max", text, pair), g("Sub", room, shorter))
    first_is_shorter = g("LessOrEqual", text, pair)
    return [g("Where", first_is_shorter, shorter, longer), g("Where", first_is_shorter, longer, shorter)]
