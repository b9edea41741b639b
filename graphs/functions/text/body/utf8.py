"""UTF-8 decoding at all bytes at once, with U+FFFD for each invalid piece, as Python's errors="replace"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphs.functions.text.body.nodes import Nodes, i32, i64

# The number that stands behind each text, and the code point that it is decoded to.
SEPARATOR, END_POINT = 256, 0x110000
# Bytes behind the place that is decoded.
LOOKAHEAD = 3
REPLACEMENT = 0xFFFD
# The upper half of the second byte takes part in a lookup: 16 values, and one more for a separator.
HALVES = 17
# What a first byte wants: nothing (it is invalid), a sequence of 1 to 4 bytes, or nothing, because it is a separator.
INVALID, END = 0, 5


@dataclass(frozen=True)
class Characters:
    """The characters of a stream and the ends of its texts: code points, int32; first bytes and bytes behind, int64."""

    points: str
    begins: str
    ends: str


def decode(g: Nodes, stream: str) -> Characters:
    """Decodes a stream with LOOKAHEAD separators too many at its end."""
    wanted, lengths, weights = _tables()
    first, second = g.slice(stream, 0, -3), g.slice(stream, 1, -2)
    continues = g.int32(g("Equal", g("Div", stream, i32(64)), i32(2)))
    half = g("Add", g("Mul", first, i32(HALVES)), g("Div", second, i32(16)))
    later = g("Add", g("Mul", g.slice(continues, 2, -1), i32(2)), g.slice(continues, 3))
    state = g("Add", g("Gather", wanted * 4, half), later)
    size = g("Gather", lengths, state)
    places = g.range(g.size(first))
    window = g("Add", g.column(places), i64([[0, 1, 2, 3]]))
    # A byte belongs to an earlier character if that one's size reaches it. Bytes inside a character have size 1.
    sizes = g("Gather", g.join(i32([0, 0, 0]), size), window)
    inside = g.bool(g("ReduceMax", g.int32(g("Greater", sizes, i32([3, 2, 1, 4]))), i64([1]), keepdims=0))
    begins = g.where(g("Not", inside))
    state = g("Gather", state, begins)
    taken = g("Gather", stream, g("Gather", window, begins))
    points = g("ReduceSum", g("Mul", taken, g("Gather", weights[:, :4], state)), i64([1]), keepdims=0)
    points = g("Add", points, g("Gather", weights[:, 4], state))
    return Characters(points, begins, g("Add", begins, g.int64(g("Gather", size, begins))))


def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the tables of the decoder, int32.

    First byte · HALVES + upper half of the second → what is wanted (Unicode 16, table 3-7). That, whether the third
    byte continues, and whether the fourth does → the length of the character or of the invalid piece [24], and the
    weights of its four bytes and of 1 in its code point [24, 5].
    """
    wanted = np.repeat(i32(np.arange(SEPARATOR + 1) < 0x80), HALVES).reshape(-1, HALVES)
    wanted[SEPARATOR] = END
    for lead in range(0xC2, 0xF5):
        low, high = {0xE0: 0xA, 0xF0: 0x9}.get(lead, 0x8), {0xED: 0x9, 0xF4: 0x8}.get(lead, 0xB)
        wanted[lead, low : high + 1] = 2 + (lead >= 0xE0) + (lead >= 0xF0)
    lengths, weights = np.ones(24, np.int32), np.zeros((24, 5), np.int32)
    weights[:, 4] = REPLACEMENT
    for want, leading in ((1, 0), (2, 0xC0), (3, 0xE0), (4, 0xF0)):
        for later in range(4):
            third, fourth = later // 2, later % 2
            length = min(want, 2) + int(want >= 3 and third) + int(want == 4 and third and fourth)
            lengths[4 * want + later] = length
            if length == want:
                powers = [64 ** (want - 1 - place) for place in range(want)]
                offset = leading * powers[0] + 0x80 * sum(powers[1:])
                weights[4 * want + later] = [*powers, *[0] * (4 - want), -offset]
    weights[4 * END :] = [0, 0, 0, 0, END_POINT]
    return wanted.reshape(-1), lengths, weights
