"""Times models on texts: at their own lengths, against all of them padded to one length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perf.machine.machine import Machine, Software, machine, now, software
from perf.outputs.non_finite import non_finite
from perf.results.file_writer import write_json
from perf.sessions.session import Session, first_run, timer
from perf.sessions.types import Feed, Progress, no_progress
from perf.statistics import FEWEST, Ratio, ratio, summarise

PASSES = FEWEST
"""Passes over all texts: the fewest values whose median has a 95 % interval."""


@dataclass(frozen=True)
class Reading:
    """A session, and the texts that it reads, one in each run."""

    name: str
    session: Session
    feeds: Sequence[Feed]


@dataclass(frozen=True)
class TextTimes:
    """Times of one reading.

    Args:
        name: The model's name, and how the texts were padded.
        tokens: The mean number of tokens per text, padding included.
        mean_ms: The median over the passes of the mean time per text; `low_ms` to `high_ms` is its 95 % interval.
        median_ms, p90_ms: Median and 90th percentile over single texts.
        speedup: The ratio of the first reading's time to this one's, pass by pass; None for the first.
        passes_ms: The mean per text of each pass, in order.
        non_finite: The outputs that are NaN or infinite for some text, by name, and for how many texts.
    """

    name: str
    tokens: float
    mean_ms: float
    low_ms: float
    high_ms: float
    median_ms: float
    p90_ms: float
    speedup: Ratio | None
    passes_ms: tuple[float, ...]
    non_finite: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TextsReport:
    """Report of a benchmark on texts: its conditions, and a row for each reading in the order given."""

    date: str
    machine: Machine
    software: Software
    source: str
    texts: int
    threads: int
    rows: tuple[TextTimes, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """The readings with outputs that are NaN or infinite."""
        return tuple(row.name for row in self.rows if row.non_finite)

    def write_json(self, path: Path) -> None:
        """Writes it as a file. Raises PerfError where it cannot be written."""
        content: dict[str, Any] = {"schema": "mbert-onnx/bench-texts", "schema_version": 1, **asdict(self)}
        write_json(path, content)


def time_texts(
    readings: Sequence[Reading],
    *,
    source: str,
    threads: int,
    seed: int = 0,
    passes: int = PASSES,
    progress: Progress = no_progress,
) -> TextsReport:
    """Runs every text once in each of `passes` passes, one model after the other, in an order shuffled for each pass.

    The texts of a model follow each other as in use, so that no text is warmed up by itself; an untimed pass over all
    of them comes first.

    Raises PerfUsageError where a model does not run on its texts.
    """
    order = np.random.default_rng(seed)
    times = np.zeros((len(readings), passes, len(readings[0].feeds)))
    broken = [
        Counter(
            name
            for feed in reading.feeds
            for name in non_finite(first_run(reading.name, reading.session, dict(feed)), feed)
        )
        for reading in readings
    ]
    timers = [[timer(reading.session, feed) for feed in reading.feeds] for reading in readings]
    for number in range(passes):
        progress(f"pass {number + 1} of {passes}")
        for index in order.permutation(len(readings)):
            for place, run in enumerate(timers[index]):
                times[index, number, place] = run(False) / 1e6
    rows = tuple(
        replace(_row(reading, times[index], times[0] if index else None), non_finite=dict(broken[index]))
        for index, reading in enumerate(readings)
    )
    return TextsReport(now(), machine(), software(), source, times.shape[2], threads, rows)


def _row(reading: Reading, times: np.ndarray, first: np.ndarray | None) -> TextTimes:
    passes, single = times.mean(axis=1), summarise(times.ravel())
    whole = summarise(passes)
    speedup = None if first is None else ratio(first.mean(axis=1), passes, [1] * len(passes))
    tokens = float(np.mean([feed["input_ids"].size for feed in reading.feeds]))
    return TextTimes(
        reading.name,
        tokens,
        whole.median,
        whole.low,
        whole.high,
        single.median,
        single.p90,
        speedup,
        tuple(passes.tolist()),
    )


def print_texts(report: TextsReport, console: Console) -> None:
    """Prints the table."""
    host = report.machine
    console.print(
        f"{report.texts} texts of {report.source}, one at a time, {report.threads} thread(s); {host.cpu}, "
        f"{report.date}; a run over all of them is repeated {len(report.rows[0].passes_ms)} times, in turns",
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model")
    for title in ("tokens", "mean ms per text", "median", "p90", "times as fast as the first"):
        table.add_column(title, justify="right")
    for row in report.rows:
        half = max(row.high_ms - row.mean_ms, row.mean_ms - row.low_ms)
        fast = "" if row.speedup is None else f"{row.speedup.median:.2f} ({row.speedup.low:.2f}–{row.speedup.high:.2f})"
        table.add_row(
            row.name,
            f"{row.tokens:.0f}",
            f"{row.mean_ms:.2f} ± {half:.2f}",
            f"{row.median_ms:.2f}",
            f"{row.p90_ms:.2f}",
            fast,
        )
    console.print(table)
    for row in report.rows:
        for name, texts in row.non_finite.items():
            text = f"{row.name} is not usable: its output {name} is NaN or infinite for {texts} of {report.texts} texts"
            console.print(Text.assemble(("warning: ", "yellow"), f"{text}; disregard its times"), soft_wrap=True)
