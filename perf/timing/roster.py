"""The models of a bench: those that can be timed, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from perf.errors import PerfError
from perf.results.report import Failure
from perf.sessions.subject import Subject

T = TypeVar("T")


class Roster:
    """Loses a model that fails, and goes on with the others.

    Args:
        subjects: All, in their order.
        failures: Of models that there never were a file of.
    """

    def __init__(self, subjects: Sequence[Subject], failures: Sequence[Failure] = ()) -> None:
        self.subjects = list(subjects)
        self.failures = list(failures)

    def each(self, what: Callable[[Subject], T], *, reverse: bool = False) -> dict[str, T]:
        """What a function gives for each that is left, by name. Raises PerfError when none is left."""
        found = {}
        for subject in self.subjects[::-1] if reverse else self.subjects[:]:
            try:
                found[subject.name] = what(subject)
            except PerfError as error:
                self.drop(subject.name, error)
        return found

    def drop(self, name: str, error: PerfError) -> None:
        """Goes on without one of them. Raises the error if it was the last."""
        self.subjects = [subject for subject in self.subjects if subject.name != name]
        self.failures.append(Failure(name, str(error)))
        if not self.subjects:
            raise error
