"""Throughput: texts per second of passes over many texts, by models in turns, with one worker process or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from perf.machine.machine import Machine, Software, machine, now, software
from perf.results.file_writer import write_json
from perf.sessions.types import Progress, no_progress
from perf.statistics import FEWEST, Ratio, ratio, summarise

PASSES = FEWEST
"""Timed passes over all texts: the fewest values whose median has a 95 % interval."""


@dataclass(frozen=True)
class Stages:
    """Seconds of a pass in each of its stages.

    Args:
        reading: The rows of the input file.
        tokenizing: From texts to rows of token ids.
        batching: From rows to the arrays of a run.
        model: Runs of the session.
        answers: From outputs to answers, such as labels.
        writing: The rows of the output file.
    """

    reading: float
    tokenizing: float
    batching: float
    model: float
    answers: float
    writing: float


@dataclass(frozen=True)
class WorkerPass:
    """One pass of one worker over its share of the texts.

    Args:
        texts: Number of texts that it read.
        tokens: Number of their tokens, special tokens included.
        padded_tokens: Tokens with padding.
        seconds: Its time.
        stages: Its stages.
    """

    texts: int
    tokens: int
    padded_tokens: int
    seconds: float
    stages: Stages


@dataclass(frozen=True)
class Configuration:
    """Configuration that is timed: a model, the padded tokens of a run, and the number of worker processes."""

    model: str
    tokens_per_run: int
    workers: int


@dataclass(frozen=True)
class Throughput:
    """Throughput of one configuration.

    Args:
        configuration: The configuration.
        texts_per_second: The median over the passes; `low` to `high` is its 95 % interval.
        tokens_per_second: The median, special tokens included and padding excluded.
        padding: The share of the tokens of all runs that was padding, 0 to 1.
        shares: The share of each stage in the time of the workers, 0 to 1.
        memory_bytes: Memory of all workers after their last pass; pages that they share count once.
        speedup: How many times as fast as the first configuration, pass by pass; None for the first.
        seconds: The time of each pass, in order.
        notes: What to know of the numbers, one line each.
    """

    configuration: Configuration
    texts_per_second: float
    low: float
    high: float
    tokens_per_second: float
    padding: float
    shares: dict[str, float]
    memory_bytes: int
    speedup: Ratio | None
    seconds: tuple[float, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ThroughputReport:
    """Report of a benchmark of throughput: its conditions, and a row for each configuration in the order given."""

    date: str
    machine: Machine
    software: Software
    source: str
    texts: int
    threads: int
    rows: tuple[Throughput, ...]

    def write_json(self, path: Path) -> None:
        """Writes it as a file. Raises PerfError where it cannot be written."""
        content: dict[str, Any] = {"schema": "mbert-onnx/bench-throughput", "schema_version": 1, **asdict(self)}
        write_json(path, content)


Pass = Callable[[], Sequence[WorkerPass]]
"""Makes one pass of all workers of a configuration at the same time."""


def time_throughput(
    passes: Mapping[Configuration, Pass],
    *,
    memory: Callable[[Configuration], int],
    notes: Mapping[str, Sequence[str]],
    source: str,
    texts: int,
    threads: int,
    seed: int = 0,
    count: int = PASSES,
    progress: Progress = no_progress,
) -> ThroughputReport:
    """Makes `count` passes of each configuration, in turns, in an order shuffled for each; an untimed pass comes first.

    Args:
        passes: The configurations; the others are compared with the first.
        memory: Returns the memory of a configuration's workers in bytes.
        notes: Notes on a model, by its name.
        source: The name of the file of the texts.
        texts: The number of texts.
        threads: The number of threads of each worker.
        seed: Of the order.
        count: The number of timed passes.
        progress: Called with a line at the start of each stage.
    """
    order = np.random.default_rng(seed)
    configurations = list(passes)
    found: dict[Configuration, list[Sequence[WorkerPass]]] = {one: [] for one in configurations}
    progress("untimed pass")
    for one in configurations:
        passes[one]()
    for number in range(count):
        progress(f"pass {number + 1} of {count}")
        for index in order.permutation(len(configurations)):
            one = configurations[index]
            found[one].append(passes[one]())
    first = [_seconds(done) for done in found[configurations[0]]]
    rows = tuple(
        _row(one, found[one], None if one == configurations[0] else first, memory(one), tuple(notes.get(one.model, ())))
        for one in configurations
    )
    return ThroughputReport(now(), machine(), software(), source, texts, threads, rows)


def _seconds(done: Sequence[WorkerPass]) -> float:
    """Returns the time until the last worker has finished."""
    return max(one.seconds for one in done)


def _row(
    configuration: Configuration,
    passes: Sequence[Sequence[WorkerPass]],
    first: Sequence[float] | None,
    memory_bytes: int,
    notes: tuple[str, ...],
) -> Throughput:
    seconds = [_seconds(done) for done in passes]
    texts = sum(one.texts for one in passes[0])
    tokens = sum(one.tokens for one in passes[0])
    padded = sum(one.padded_tokens for one in passes[0])
    rates = summarise([texts / time for time in seconds])
    workers = [one for done in passes for one in done]
    shares = {
        stage.name: median(getattr(one.stages, stage.name) / one.seconds for one in workers) for stage in fields(Stages)
    }
    return Throughput(
        configuration,
        rates.median,
        rates.low,
        rates.high,
        tokens / texts * rates.median,
        1 - tokens / max(padded, 1),
        shares,
        memory_bytes,
        None if first is None else ratio(first, seconds, [1] * len(seconds)),
        tuple(seconds),
        notes,
    )
