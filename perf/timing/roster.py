"""Roster: the models still in a benchmark, and the failures of those that left it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from perf.errors import PerfError
from perf.results.report import Failure
from perf.sessions.subject import Subject

T = TypeVar("T")


class Roster:
    """The models still in a benchmark; a model that fails leaves it, and the others go on.

    Args:
        subjects: All models, in their order.
        failures: Failures of models that could not be built.
    """

    def __init__(self, subjects: Sequence[Subject], failures: Sequence[Failure] = ()) -> None:
        self.subjects = list(subjects)
        self.failures = list(failures)

    @property
    def names(self) -> list[str]:
        """The names of the models still in it."""
        return [subject.name for subject in self.subjects]

    def each(self, function: Callable[[Subject], T], *, reverse: bool = False) -> dict[str, T]:
        """Calls a function with each model and returns the results by name; drops models for which it raises PerfError.

        Raises the last model's PerfError when no model is left.
        """
        results = {}
        for subject in self.subjects[::-1] if reverse else self.subjects[:]:
            try:
                results[subject.name] = function(subject)
            except PerfError as error:
                self.drop(subject.name, error)
        return results

    def drop(self, name: str, error: PerfError) -> None:
        """Removes a model and records its failure. Raises the error if it was the last model."""
        self.subjects = [subject for subject in self.subjects if subject.name != name]
        self.failures.append(Failure(name, str(error)))
        if not self.subjects:
            raise error
