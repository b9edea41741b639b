"""One cell of a bench: all models at one length and thread count, timed in several repetitions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from perf.report import Cell, Measurement
from perf.rounds import timed_rounds
from perf.session import Session, first_run
from perf.statistics import ratio, summarise
from perf.warmup import warm_up

WARM_UP_SHARE = 0.25
"""Warm-up may take this share of the budget, on top of it."""


@dataclass(frozen=True)
class Repetition:
    """Times in ms, [models, rounds], and which models were steady after the warm-up, [models]."""

    times_ms: np.ndarray
    steady: tuple[bool, ...]


def repeat(
    names: Sequence[str],
    sessions: Sequence[Session],
    feeds: Sequence[dict[str, np.ndarray]],
    *,
    precision: float,
    budget_s: float,
    seed: int,
) -> Repetition:
    """Warm all sessions up, then time them in rounds.

    Raises:
        PerfUsageError: a model does not take its feeds.
    """
    for name, session, feed in zip(names, sessions, feeds, strict=True):
        first_run(name, session, feed)
    runs = [partial(session.run, None, feed) for session, feed in zip(sessions, feeds, strict=True)]
    steady = warm_up(runs, limit_s=budget_s * WARM_UP_SHARE, clock=time.perf_counter_ns)
    times_ns = timed_rounds(runs, precision=precision, budget_s=budget_s, seed=seed, clock=time.perf_counter_ns)
    return Repetition(times_ns / 1e6, steady)


def combine(
    names: Sequence[str],
    tokens: Sequence[int],
    repetitions: Sequence[Repetition],
    *,
    seq_len: int,
    threads: int,
    precision: float,
) -> Cell:
    """The cell's statistics over all repetitions; `tokens` is how many each model reads in a run."""
    rounds = tuple(part.times_ms.shape[1] for part in repetitions)
    times_ms = np.concatenate([part.times_ms for part in repetitions], axis=1)
    measurements = []
    for index, (name, series) in enumerate(zip(names, times_ms, strict=True)):
        summary = summarise(series)
        measurements.append(
            Measurement(
                subject=name,
                median_ms=summary.median,
                low_ms=summary.low,
                high_ms=summary.high,
                p90_ms=summary.p90,
                p99_ms=summary.p99,
                tokens_per_second=tokens[index] / summary.median * 1e3,
                runs=len(series),
                stable=summary.relative_half_width <= precision,
                unsteady_repetitions=sum(not part.steady[index] for part in repetitions),
                speedup=ratio(times_ms[0], series, rounds) if index else None,
                times_ms=tuple(series.tolist()),
            )
        )
    return Cell(seq_len, threads, rounds, tuple(measurements))
