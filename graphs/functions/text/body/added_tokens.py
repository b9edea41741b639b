"""Added tokens in a stream of symbols: leftmost and longest contents, with the flags of `tokenizers`."""

from __future__ import annotations

from dataclasses import dataclass

from graphs.functions.text.body.nodes import Nodes, i32, i64
from graphs.functions.text.body.trie import Trie
from graphs.functions.text.tables.tables import Contents

# Bits of the flags in `added`.
LSTRIP, RSTRIP, SINGLE_WORD, AS_TEXT = 1, 2, 4, 8
# Symbols in all contents up to which comparing them all takes fewer nodes and less time than the trie.
FEW = 256
# Doublings after which every match of a text has been reached: more matches than 2^31 fit into no text.
DOUBLINGS = 31


@dataclass(frozen=True)
class Matches:
    """Accepted matches in order: the first place, the place behind the last, int64, and the row of `added`, int32."""

    begins: str
    ends: str
    rows: str

    def replace(self, g: Nodes, stream: str, first: int) -> str:
        """Returns a stream in which each match is `first` + its row at its first place, and 0 at the others."""
        size = g("Add", g.size(stream), i64([1]))
        one, places = g("Expand", i32([1]), g("Shape", self.begins)), g.join(self.begins, self.ends)
        marks = g.scatter(g.full(size, i32(0)), places, g.join(one, g("Neg", one)), "add")
        inside = g("Greater", g.slice(g("CumSum", marks, i64(0)), 0, -1), i32(0))
        rest = g("Where", inside, i32(0), stream)
        return g.scatter(rest, self.begins, g("Add", self.rows, i32(first)))

    def end_bytes(self, g: Nodes, ends: str) -> str:
        """Returns the byte behind each symbol of a stream; at the first place of a match, that behind the match."""
        return g.scatter(ends, self.begins, g("Gather", ends, g("Sub", self.ends, i64([1]))))


def find_matches(
    g: Nodes,
    trie: Trie,
    contents: Contents,
    stream: str,
    candidates: str,
    root: int,
    *,
    words: str | None,
    spaces: str | None,
) -> Matches:
    """Finds contents in a stream whose last element is the end of a text.

    Args:
        stream: Symbols, int32.
        candidates: All places where a content can begin, int64, in order.
        root: The root of the contents in the trie.
        words: Whether each element is a word character, bool; needed for contents with `single_word`.
        spaces: Whether each element is white space, bool; needed for contents with `lstrip` or `rstrip`.
    """
    padded = g.join(stream, i32([0] * contents.longest))
    if len(contents.rows) * contents.longest <= FEW:
        matches = _compared(g, contents, padded, candidates)
    else:
        slots = trie.walk(padded, candidates, i32([root]), contents.longest)
        lengths = g.int64(trie.length(slots))
        found = g.where(lengths)
        begins = g("Gather", candidates, found)
        ends = g("Add", begins, g("Gather", lengths, found))
        matches = Matches(begins, ends, trie.entry(g("Gather", slots, found)))
    if contents.overlap:
        matches = _chosen(g, matches, _disjoint(g, matches, g.size(stream)))
    if not (contents.as_text or contents.single_word or contents.lstrip or contents.rstrip):
        return matches
    flags = g("Gather", g.slice_columns("added", 1), matches.rows)
    dropped: list[str] = []
    if contents.as_text:
        dropped.append(_has(g, flags, AS_TEXT))
    if contents.single_word:
        assert words is not None
        before = g("Gather", g.before(words, i32(0).astype(bool).reshape(1)), matches.begins)
        beside = g("Or", before, g("Gather", words, matches.ends))
        dropped.append(g("And", _has(g, flags, SINGLE_WORD), beside))
    if dropped:
        drop = dropped[0] if len(dropped) == 1 else g("Or", *dropped)
        kept = g.where(g("Not", drop))
        matches, flags = _chosen(g, matches, kept), g("Gather", flags, kept)
    if contents.lstrip or contents.rstrip:
        assert spaces is not None
        matches = _stripped(g, matches, flags, spaces, contents)
    return matches


def _compared(g: Nodes, contents: Contents, padded: str, candidates: str) -> Matches:
    """Returns the longest content at each candidate, by comparison with all of them; that of the largest number."""
    ordered = sorted(contents.rows, key=len)
    patterns = i32([[*content, *[-1] * (contents.longest - len(content))] for content in ordered])
    window = g("Gather", padded, g("Add", g.column(candidates), i64([range(contents.longest)])))
    equal = g("Or", g("Equal", g.column(window), patterns), patterns < 0)  # [candidates, contents, longest]
    whole = g("ReduceMin", g.int32(equal), i64([2]), keepdims=0)
    number = g("ReduceMax", g("Mul", whole, i32(range(1, len(ordered) + 1))), i64([1]), keepdims=0)  # 0: none
    found = g.where(number)
    begins, number = g("Gather", candidates, found), g("Gather", number, found)
    ends = g("Add", begins, g("Gather", i64([0, *map(len, ordered)]), number))
    return Matches(begins, ends, g("Gather", i32([0, *(contents.rows[content] for content in ordered)]), number))


def _has(g: Nodes, flags: str, bit: int) -> str:
    return g("Greater", g("BitwiseAnd", flags, i32([bit])), i32([0]))


def _chosen(g: Nodes, matches: Matches, places: str) -> Matches:
    return Matches(*(g("Gather", values, places) for values in (matches.begins, matches.ends, matches.rows)))


def _disjoint(g: Nodes, matches: Matches, size: str) -> str:
    """Returns the matches that a search from left to right finds, which goes on behind each match.

    From each match, the next one is the first that begins at its end or later. In each round, twice as many of those
    that are reached from the first match are known.
    """
    one = g("Expand", i64([1]), g("Shape", matches.begins))
    marks = g.scatter(g.full(g("Add", size, i64([1])), i64(0)), matches.begins, one)
    begun = g("CumSum", marks, i64(0), exclusive=1)  # the number of matches that begin before each place
    count = g.size(matches.begins)
    following = g.join(g("Gather", begun, matches.ends), count)
    reached = g.join(i32([1]), g.full(count, i32(0)))
    for _ in range(DOUBLINGS):
        reached = g.scatter(reached, following, reached, "max")
        following = g("Gather", following, following)
    return g.where(g.slice(reached, 0, -1))


def _stripped(g: Nodes, matches: Matches, flags: str, spaces: str, contents: Contents) -> Matches:
    """Returns the matches with the white space beside them that they strip; the first of two takes what is between."""
    solid = g("Not", spaces)
    counts = g("CumSum", g.int64(solid), i64(0), exclusive=1)
    places = g.join(i64([-1]), g.where(solid))
    begins, ends = matches.begins, matches.ends
    if contents.rstrip:
        next_solid = g("Gather", places, g("Add", g("Gather", counts, ends), i64([1])))
        ends = g("Where", _has(g, flags, RSTRIP), next_solid, ends)
    if contents.lstrip:
        last_solid = g("Gather", places, g("Gather", counts, begins))
        start = g("Max", g("Add", last_solid, i64([1])), g.slice(g.join(i64([0]), ends), 0, -1))
        begins = g("Where", _has(g, flags, LSTRIP), start, begins)
    return Matches(begins, ends, matches.rows)
