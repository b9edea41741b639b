"""The sizes that a graph's inputs have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shapes:
    """What a graph takes: sizes that are None are dynamic; ids are int64 as transformers has them, or int32."""

    batch: int | None = None
    seq_len: int | None = None
    choices: int | None = None
    int32: bool = False

    def narrowed(self, other: Shapes) -> Shapes:
        """The sizes that fit both: where one is dynamic, the other's."""
        return Shapes(
            self.batch or other.batch, self.seq_len or other.seq_len, self.choices or other.choices, self.int32
        )
