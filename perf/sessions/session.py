"""Session: a model file loaded in a runtime, and how it is run, timed and described."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from perf.errors import PerfError, PerfUsageError, one_line
from perf.providers import Provider


class Session(Protocol):
    """A loaded model: the part of `onnxruntime.InferenceSession` that a benchmark uses.

    Inputs and outputs have a `name`, inputs also a `type` and a `shape`, as onnxruntime spells them. The arrays that
    `run` returns, in the order of the outputs, are valid until its next call.
    """

    def get_inputs(self) -> Sequence[Any]: ...

    def get_outputs(self) -> Sequence[Any]: ...

    def run(self, output_names: None, input_feed: Mapping[str, np.ndarray], /) -> Sequence[Any]: ...


# What runtimes say if memory is short.
_NO_MEMORY = ("bad_alloc", "bad allocation", "not enough memory", "Unable to allocate", "Failed to allocate memory")

Timer = Callable[[bool], int]
"""Runs once and returns the time in ns; with True, an untimed run comes directly before it."""


@runtime_checkable
class TimesItself(Protocol):
    """A session in another process, which times its own runs."""

    def timer(self, feed: Mapping[str, np.ndarray], /) -> Timer: ...


@runtime_checkable
class TimesRuns(Protocol):
    """A session in another process that returns the time of a run in ns with its outputs."""

    def timed_run(self, feed: Mapping[str, np.ndarray], /) -> tuple[Sequence[Any], int]: ...


@runtime_checkable
class MeasuresItself(Protocol):
    """A session in another process, which measures the time to load its model in ns, and the memory that it took."""

    load_ns: int

    def peak_bytes(self) -> int: ...


def timer(session: Session, feed: Mapping[str, np.ndarray]) -> Timer:
    """Returns the function that times a session on one input."""
    if isinstance(session, TimesItself):
        return session.timer(feed)

    def run(after_another: bool) -> int:
        if after_another:
            session.run(None, feed)
        start = time.perf_counter_ns()
        session.run(None, feed)
        return time.perf_counter_ns() - start

    return run


@dataclass(frozen=True)
class Placement:
    """Placement: the nodes that each provider runs.

    Providers have onnxruntime's names; the nodes of another runtime are under that runtime's name.

    Args:
        operators: Counts of nodes: provider -> operator -> nodes.
        partitions: The number of subgraphs of a provider that compiles subgraphs: provider -> subgraphs.
    """

    operators: dict[str, dict[str, int]]
    partitions: dict[str, int] = field(default_factory=dict)

    @property
    def nodes(self) -> dict[str, int]:
        """Provider -> number of nodes."""
        return {provider: sum(counts.values()) for provider, counts in self.operators.items()}


def fallback_warning(name: str, provider: Provider, placed: Placement) -> str | None:
    """Returns a warning if the provider runs only a part of the nodes of the model `name`, else None."""
    nodes = placed.nodes
    taken, total = nodes.get(provider.ort_name, 0), sum(nodes.values())
    if taken == total:
        return None
    left = Counter[str]()
    for other, counts in placed.operators.items():
        if other != provider.ort_name:
            left.update(counts)
    fallen = ", ".join(f"{operator} ×{count}" for operator, count in left.most_common())
    parts = placed.partitions.get(provider.ort_name, 0)
    inside = f" in {parts} partitions" if parts > 1 else ""
    return (
        f"{name}: {provider.ort_name} took {taken} of {total} nodes{inside}, so its times are those of two providers; "
        f"fell back to the CPU: {fallen}; export a model for {provider.name}: mbert-onnx export "
        f"{provider.needs.command}"
    )


def first_run(name: str, session: Session, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs the model `name` once and returns copies of its outputs by name.

    Raises:
        PerfUsageError: with the shapes of the inputs, if the run fails: most often a length beyond the model's
            positions, or ids beyond its vocabulary.
        PerfError: if there is not enough memory.
    """
    try:
        values = session.run(None, feeds)
    except Exception as error:
        fed = ", ".join(f"{key} {list(value.shape)}" for key, value in feeds.items())
        if any(text in str(error) for text in _NO_MEMORY):
            raise PerfError(
                f"there is not enough memory to run {name} on {fed}; free some, or pass a smaller --batch or --seq-len"
            ) from None
        raise PerfUsageError(
            f"{name} does not run on {fed} ({one_line(error)}); expected lengths within its positions and ids within "
            "its vocabulary: pass another --seq-len or --batch"
        ) from None
    named = zip((output.name for output in session.get_outputs()), values, strict=True)
    return {key: value.copy() for key, value in named if isinstance(value, np.ndarray)}
