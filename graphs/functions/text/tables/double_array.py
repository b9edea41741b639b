"""Trie of a vocabulary as a double array (Aoe 1989): two lookups per character, whatever the size of the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

FREE = 65535
# Slots that are examined at once for a place where all children of a node fit.
SEARCH = 2048

Entries = Mapping[tuple[int, ...], int]


@dataclass(frozen=True)
class DoubleArray:
    """Tries in one array, each with a root of its own.

    A child of the node with base b, along symbol s, has slot b + s, where `check` is s. No two nodes have the same
    base, so the slot belongs to no other node. `ids` and `lengths` are those of the longest entry on the way to a slot.
    Children lie above their parents. Base 0 has no children.
    """

    check: np.ndarray
    base: np.ndarray
    ids: np.ndarray
    lengths: np.ndarray
    roots: tuple[int, ...]


@dataclass
class _Node:
    depth: int
    id: int = 0
    length: int = 0
    children: dict[int, _Node] = field(default_factory=dict)
    slot: int = 0


def double_array(tries: Sequence[Entries]) -> DoubleArray:
    """Builds the array of these tries. An entry is a sequence of symbols, 1 to 65534, with an id of at least 0."""
    roots = [_trie(entries) for entries in tries]
    nodes = [node for root in roots for node in _descendants(root)]
    top = max((symbol for node in nodes for symbol in node.children), default=0)
    size = 4 * (len(nodes) + top) + 2 * SEARCH
    check = np.full(size, FREE, np.uint16)
    base = np.zeros(size, np.int32)
    ids = np.zeros(size, np.int32)
    lengths = np.zeros(size, np.uint8)
    free = bytearray([0]) + bytearray([1]) * (size - 1)
    used = bytearray([1]) + bytearray(size - 1)
    lowest, bases, tried = 1, dict[int, int](), dict[int, tuple[int, int]]()
    for node in sorted((node for node in nodes if node.children), key=lambda node: (node.depth, -len(node.children))):
        symbols = sorted(node.children)
        lowest = free.index(1, lowest)
        begin = max(node.slot + 1, lowest, symbols[0] + 1)
        if len(symbols) == 1:  # most nodes
            place = _place_of_one(free, used, symbols[0], begin, tried)
        else:
            place = _place(free, used, symbols, begin)
        used[place] = 1
        bases[id(node)] = place
        base[node.slot] = place if node.depth else 0
        for symbol, child in node.children.items():
            slot = child.slot = place + symbol
            free[slot], check[slot], ids[slot], lengths[slot] = 0, symbol, child.id, child.length
    end = free.rindex(0) + 1
    last_base = max(int(base[:end].max()), *bases.values(), 0) if bases else 0
    # A walk reads `check` and `base` at base + symbol before it knows that this slot is a child.
    most = max(end, last_base + top + 1)
    return DoubleArray(
        check=check[:most],
        base=base[:most],
        ids=ids[:end],
        lengths=lengths[:end],
        roots=tuple(bases.get(id(root), 0) for root in roots),
    )


def _place(free: bytearray, used: bytearray, symbols: Sequence[int], lowest: int) -> int:
    """Returns the lowest unused base where all symbols have free slots, the first one at `lowest` or above."""
    are_free, are_used, begin = np.frombuffer(free, bool), np.frombuffer(used, bool), lowest
    while True:
        found = begin + np.flatnonzero(are_free[begin : begin + SEARCH]) - symbols[0]
        found = found[~are_used[found]]
        for symbol in symbols[1:]:
            found = found[are_free[found + symbol]]
        if len(found):
            return int(found[0])
        begin += SEARCH


def _place_of_one(free: bytearray, used: bytearray, symbol: int, lowest: int, tried: dict[int, tuple[int, int]]) -> int:
    """Returns what `_place` does for one symbol.

    `tried` has for each symbol a range of slots that are not possible, and never become so.
    """
    first, end = tried.get(symbol, (lowest, lowest))
    if not first <= lowest <= end:
        first, end = lowest, lowest
    slot = free.index(1, end)
    while used[slot - symbol]:
        slot = free.index(1, slot + 1)
    tried[symbol] = first, slot + 1
    return slot - symbol


def _trie(entries: Entries) -> _Node:
    root = _Node(0)
    for symbols, number in sorted(entries.items()):  # a prefix comes before the entries that it begins
        node = root
        for symbol in symbols:
            if symbol not in node.children:
                node.children[symbol] = _Node(node.depth + 1, node.id, node.length)
            node = node.children[symbol]
        node.id, node.length = number, len(symbols)
    return root


def _descendants(root: _Node) -> list[_Node]:
    found, rest = list[_Node](), [root]
    while rest:
        node = rest.pop()
        found.append(node)
        rest += node.children.values()
    return found
