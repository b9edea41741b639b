"""Walks through the double array, from many places of a stream at once."""

from __future__ import annotations

from graphs.functions.text.body.nodes import Nodes, Operand, i32, i64

# The most steps of a walk from all places. A longer one goes on only from the places where it is not over after NARROW
# steps (11 % in English prose), which takes more nodes.
WIDE, NARROW = 20, 6


class Trie:
    """The tables of the double array as nodes of a body, widened once: onnxruntime folds casts of initializers."""

    def __init__(self, g: Nodes) -> None:
        self._g = g
        self._check, self._base = g.int32("check"), g.int32("base")
        self._entries, self._lengths = g.int32("entries"), g.int32("lengths")

    def entry(self, slots: str) -> str:
        return self._g("Gather", self._entries, slots)

    def length(self, slots: str) -> str:
        return self._g("Gather", self._lengths, slots)

    def walk(self, padded: str, places: str, roots: Operand, longest: int) -> str:
        """Returns the last slot of the walks from these places of a stream, int32; 0 where nothing begins.

        Args:
            padded: The stream, int32, with `longest` zeros behind it.
            places: Where the walks begin, int64.
            roots: The base where all walks begin, int32 [1], or one for each place.
            longest: The most steps.
        """
        g = self._g
        slots, last = self._steps(padded, places, roots, 0, longest if longest <= WIDE else NARROW)
        if longest <= WIDE:
            return slots
        on = g.where(last)
        bases, places = g("Gather", self._base, g("Gather", last, on)), g("Gather", places, on)
        later, _ = self._steps(padded, places, bases, NARROW, longest)
        return g.scatter(slots, on, later, "max")

    def _steps(self, padded: str, places: str, bases: Operand, begin: int, end: int) -> tuple[str, str]:
        """Returns the last slot that each walk reaches in these steps, and the one after all steps; 0 if it is over.

        All steps are made first, and checked together afterwards, which takes fewer nodes than a check in each step.
        What follows a slot that is no child is a number within the tables, and without meaning.
        """
        g = self._g
        window = g("Add", g("Unsqueeze", places, i64([0])), i64([[step] for step in range(begin, end)]))
        symbols = g("Gather", padded, window)  # [steps, places]
        slots: list[str] = []
        for symbol in g.split(symbols, end - begin):
            slots.append(g("Add", g("Gather", self._base, slots[-1]) if slots else bases, symbol))
        slot = g("Concat", *slots, axis=0)
        wrong = g("Not", g("Equal", g("Gather", self._check, slot), symbols))
        reached = g("Where", g("Equal", g("CumSum", g.int32(wrong), i64(0)), i32(0)), slot, i32(0))
        # Children lie above their parents, so the last slot is the largest.
        last = g("ReduceMax", reached, i64([0]), keepdims=0)
        return last, g("Gather", reached, i64(end - begin - 1), axis=0) if begin == 0 else last
