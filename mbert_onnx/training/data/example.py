"""A text, or two, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """What a classifier reads and should say.

    Args:
        id: The row's own name, for submissions and reports.
        text: The first text.
        pair: The second; None for tasks of one.
        label: The number of the label, or the score of a regression; None where it is not known, as in test sets.
    """

    id: str
    text: str
    pair: str | None = None
    label: float | None = None


@dataclass(frozen=True)
class Split:
    """Examples of one kind.

    Args:
        name: `train`, `validation`, `test`, or a task's own, such as `validation_matched`.
        examples: In the order of their file.
        labels: The names of the labels by number; None for a regression.
        notes: What a user should know of how it was read, a line each.
    """

    name: str
    examples: Sequence[Example]
    labels: tuple[str, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def is_labelled(self) -> bool:
        return all(example.label is not None for example in self.examples)
