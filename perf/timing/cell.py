"""Cell: all models at one length and number of threads, timed in several repetitions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from perf.errors import PerfError
from perf.machine.steal import StealWatch
from perf.results.report import Cell, Measurement
from perf.sessions.session import Session, Timer, first_run, timer
from perf.sessions.types import Feed
from perf.statistics import FEWEST, ratio, summarise
from perf.timing.rounds import timed_rounds
from perf.timing.warmup import warm_up

WARM_UP_SHARE = 0.25
"""Warm-up may take this share of the budget, on top of it."""


class RunError(PerfError):
    """A model, named in `name`, that no longer runs."""

    def __init__(self, name: str, error: PerfError) -> None:
        super().__init__(str(error))
        self.name = name


@dataclass(frozen=True)
class Repetition:
    """Times in ms of each model by name, round by round, and whether they were steady after the warm-up.

    `stolen_cores`: the steal time meanwhile, in cores; `speed_check_ms`: the time of the speed check before it;
    `one_by_one_ms`: of a ragged batch, the sums of the times of its texts, in the same rounds.
    """

    times_ms: Mapping[str, np.ndarray]
    steady: Mapping[str, bool]
    stolen_cores: float = 0.0
    speed_check_ms: float = 0.0
    one_by_one_ms: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        return len(next(iter(self.times_ms.values())))


def repeat(
    sessions: Mapping[str, Session],
    feeds: Mapping[str, dict[str, np.ndarray]],
    *,
    precision: float,
    budget_s: float,
    seed: int,
) -> Repetition:
    """Warms all sessions up, then times them in rounds.

    Raises:
        RunError: a model does not take its feeds, or has died.
    """
    for name, session in sessions.items():
        with failing_as(name):
            first_run(name, session, feeds[name])
    runs = [named_timer(name, session, feeds[name]) for name, session in sessions.items()]
    times_ms, steady, stolen = time_runs(runs, precision=precision, budget_s=budget_s, seed=seed)
    return Repetition(
        dict(zip(sessions, times_ms, strict=True)), dict(zip(sessions, steady, strict=True)), stolen_cores=stolen
    )


def time_runs(
    runs: Sequence[Timer], *, precision: float, budget_s: float, seed: int
) -> tuple[np.ndarray, tuple[bool, ...], float]:
    """Warms up, then times in rounds: returns ms [runs, rounds], which were steady, and the stolen cores meanwhile."""
    watch = StealWatch()
    steady = warm_up(runs, limit_s=budget_s * WARM_UP_SHARE, clock=time.perf_counter_ns)
    times_ns = timed_rounds(runs, precision=precision, budget_s=budget_s, seed=seed, clock=time.perf_counter_ns)
    return times_ns / 1e6, steady, watch.cores()


def combine(
    tokens: Mapping[str, int],
    repetitions: Sequence[Repetition],
    *,
    seq_len: int,
    threads: int,
    precision: float,
) -> Cell:
    """Returns the cell's statistics over all repetitions.

    After an interrupt there may be too few repetitions for an interval; then there are no ratios.

    Args:
        tokens: The tokens that each model reads in a run, by its name; only these models are in the cell.
        repetitions: The repetitions that were done.
        seq_len, threads: The cell's length in tokens and number of threads.
        precision: The target for intervals, as a share of the median.
    """
    rounds = tuple(part.rounds for part in repetitions)
    series = [part.times_ms for part in repetitions]
    return Cell(seq_len, threads, rounds, measurements(tokens, repetitions, series, precision))


def measurements(
    tokens: Mapping[str, int],
    repetitions: Sequence[Repetition],
    series: Sequence[Mapping[str, np.ndarray]],
    precision: float,
) -> tuple[Measurement, ...]:
    """Returns the statistics of each model, over the times in ms that `series` has of each repetition.

    `tokens` and `precision` are those of `combine`.
    """
    rounds = tuple(part.rounds for part in repetitions)
    times_ms = {name: np.concatenate([part[name] for part in series]) for name in tokens}
    first = next(iter(tokens))
    found = []
    for name, times in times_ms.items():
        summary = summarise(times)
        found.append(
            Measurement(
                subject=name,
                median_ms=summary.median,
                low_ms=summary.low,
                high_ms=summary.high,
                p90_ms=summary.p90,
                p99_ms=summary.p99,
                tokens_per_second=tokens[name] / summary.median * 1e3,
                runs=len(times),
                stable=len(times) >= FEWEST and summary.relative_half_width <= precision,
                unsteady_repetitions=sum(not part.steady[name] for part in repetitions),
                speedup=ratio(times_ms[first], times, rounds) if name != first and len(rounds) >= FEWEST else None,
                times_ms=tuple(times.tolist()),
            )
        )
    return tuple(found)


def named_timer(name: str, session: Session, feed: Feed) -> Timer:
    """Returns the function that times a session on one input, whose errors are RunErrors of the model `name`."""
    with failing_as(name):
        run = timer(session, feed)

    def timed(after_another: bool) -> int:
        with failing_as(name):
            return run(after_another)

    return timed


@contextmanager
def failing_as(name: str) -> Iterator[None]:
    """Turns a PerfError into a RunError of the model `name`."""
    try:
        yield
    except PerfError as error:
        raise RunError(name, error) from None
