"""Several models, of which some may not be had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from graphs.errors import GraphError
from mbert_onnx.errors import MbertError
from perf.errors import PerfError
from perf.results.report import Failure

T = TypeVar("T")


def make_all(names: Sequence[str], make: Callable[[str], T]) -> tuple[list[T], list[Failure]]:
    """What a function makes of each name, and why others cannot be had. Raises the first error where none can."""
    made, failures = [], []
    first: Exception | None = None
    for name in names:
        try:
            made.append(make(name))
        except (MbertError, GraphError, PerfError) as error:
            failures.append(Failure(name, str(error)))
            first = first or error
    if first is not None and not made:
        raise first
    return made, failures
