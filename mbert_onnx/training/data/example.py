"""Labelled examples and their splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """Input and label of a classifier.

    Args:
        id: Row id, for submissions and errors.
        text: First text.
        pair: Second text; None for tasks with one text.
        label: Number of the label, or score of a regression; None if unknown, as in test sets.
    """

    id: str
    text: str
    pair: str | None = None
    label: float | None = None


@dataclass(frozen=True)
class Split:
    """Examples of one split.

    Args:
        name: `train`, `validation`, `test`, or a name of the task, such as `validation_matched`.
        examples: Examples in file order.
        labels: Names of the labels, by number; None for a regression.
        notes: Notes for the user, one line each.
    """

    name: str
    examples: Sequence[Example]
    labels: tuple[str, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def is_labelled(self) -> bool:
        """True if every example has a label."""
        return all(example.label is not None for example in self.examples)
