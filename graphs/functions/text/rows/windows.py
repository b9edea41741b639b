"""Windows with stride over a long text: rows of parts that overlap, and the tokens that each row owns."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.functions.text.body.nodes import Nodes, i64
from graphs.functions.text.rows.truncation import Kept

# The overlap of two windows in tokens if none is given: SQuAD's, or half of a window if that is shorter.
DEFAULT_STRIDE = 128


@dataclass(frozen=True)
class Windows:
    """The rows of all windows: their text, their tokens, and which tokens each owns, from the first to before the last.

    All int64 [rows]; the tokens are numbered among all tokens.
    """

    row_texts: str
    kept: Kept
    owned_from: str
    owned_to: str


def windows(g: Nodes, length: str, room: str, first: str, count: str) -> Windows:
    """Cuts texts into windows.

    Args:
        length: The tokens of a row, int64 [1].
        room: The tokens of a window, at least 1, int64 [1] or [texts].
        first: The first token of each text, int64 [texts].
        count: The number of tokens of each text, int64 [texts].
    """
    one, two, zero = i64([1]), i64([2]), i64([0])
    room = g("Expand", room, g("Shape", count))
    given = g("Reshape", "stride", i64([1]))
    common = g("Min", g("Div", length, two), i64([DEFAULT_STRIDE]))
    default = g("Where", g("Less", common, room), common, g("Div", room, two))
    step = g("Sub", room, g("Where", g("Less", given, zero), default, g("Min", given, g("Sub", room, one))))
    rest = g("Max", g("Sub", count, room), zero)
    windows_of_text = g("Add", g("Div", g("Sub", g("Add", rest, step), one), step), one)
    ends = g("CumSum", windows_of_text, i64(0))  # the row behind the last of each text
    rows = g.range(g("ReduceSum", windows_of_text, keepdims=1))
    row_texts = g("ReduceSum", g.int64(g("GreaterOrEqual", g.column(rows), ends)), i64([1]), keepdims=0)
    of_row = [g("Gather", values, row_texts) for values in (g("Sub", ends, windows_of_text), first, count, room, step)]
    first_row, first, count, room, step = of_row
    number = g("Sub", rows, first_row)
    begin = g("Mul", number, step)
    last = g("GreaterOrEqual", g("Add", begin, room), count)
    # A seam is the middle of an overlap: between this window's begin and the end of the one before it.
    seam = g("Div", g("Sub", g("Add", g("Add", begin, begin), room), step), two)
    next_seam = g("Div", g("Add", g("Add", g("Add", begin, begin), room), step), two)
    owned_from = g("Where", g("Equal", number, zero), zero, seam)
    owned_to = g("Where", last, count, next_seam)
    return Windows(
        row_texts,
        Kept(g("Add", first, begin), g("Min", room, g("Sub", count, begin))),
        g("Add", first, owned_from),
        g("Add", first, owned_to),
    )
