"""All repetitions of all cells of a benchmark, each with fresh sessions; survives failing models and interrupts.

Disturbed repetitions are repeated after all others: a disturbance of some seconds is then over.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from perf.machine.machine import OthersWatch
from perf.results.report import Cell, RaggedCell, ragged_text, threads_text
from perf.sessions.session import Session
from perf.sessions.subject import Subject
from perf.statistics import FEWEST
from perf.timing.cell import Repetition, RunError, combine, repeat
from perf.timing.disturbance.causes import causes
from perf.timing.disturbance.speed_check import speed_check_ms
from perf.timing.inspection import Inspection
from perf.timing.roster import Roster
from perf.timing.run import Run
from perf.timing.texts.ragged import combine_ragged, repeat_ragged

Length = int | tuple[int, ...]
"""The length of a cell in tokens, or the lengths of the texts of a ragged batch."""

REPETITIONS = FEWEST
"""Repetitions of each cell, with fresh sessions: the fewest values whose median has a 95 % interval."""

REPEAT_SHARE = 0.5
"""Time for repeats of disturbed repetitions, as a share of the time that all repetitions took, loading included."""


@dataclass
class Timed:
    """The measured times.

    Args:
        parts: The repetitions of each cell, by threads and length.
        repeated: How many repetitions of each cell were repeated, by cause.
        other_cores: How many cores' worth of time other programs used meanwhile.
        interrupted: Whether a KeyboardInterrupt ended it early.
    """

    parts: dict[tuple[int, Length], list[Repetition]]
    repeated: dict[tuple[int, Length], Counter[str]] = field(default_factory=dict)
    other_cores: float = 0.0
    interrupted: bool = False

    @property
    def speed_check_ms(self) -> list[float]:
        """The times of the speed check, one before each repetition with each number of threads."""
        found: dict[tuple[int, int, float], None] = {}
        for (threads, _), parts in self.parts.items():
            found.update(dict.fromkeys((number, threads, part.speed_check_ms) for number, part in enumerate(parts)))
        return [check for *_, check in sorted(found, key=lambda key: key[:2])]

    def disturbed(self, names: Sequence[str]) -> dict[tuple[int, Length], dict[int, str]]:
        """Returns the disturbed repetitions of each cell by index, with the cause; of the models of these names."""
        usual = median(self.speed_check_ms)
        return {key: causes(parts, names, usual) for key, parts in self.parts.items()}

    def cells(self, names: list[str], inspection: Inspection) -> tuple[Cell, ...]:
        """Returns the statistics of each cell with texts of one length, of the models of these names."""
        disturbed = self.disturbed(names)
        return tuple(
            replace(
                combine(
                    {name: inspection.tokens(name, length) for name in names},
                    parts,
                    seq_len=length,
                    threads=threads,
                    precision=inspection.arguments.precision,
                ),
                repeated=dict(self.repeated.get((threads, length), {})),
                disturbed=dict(Counter(disturbed[threads, length].values())),
            )
            for (threads, length), parts in self.parts.items()
            if isinstance(length, int)
        )

    def ragged_cells(self, names: list[str], inspection: Inspection) -> tuple[RaggedCell, ...]:
        """Returns the statistics of the ragged batch, of those models of these names that take it."""
        disturbed = self.disturbed(names)
        tokens = {name: inspection.ragged[name].tokens for name in names if name in inspection.ragged}
        return tuple(
            replace(
                combine_ragged(
                    tokens, parts, lengths=length, threads=threads, precision=inspection.arguments.precision
                ),
                repeated=dict(self.repeated.get((threads, length), {})),
                disturbed=dict(Counter(disturbed[threads, length].values())),
            )
            for (threads, length), parts in self.parts.items()
            if isinstance(length, tuple) and parts and tokens
        )


def time_all(run: Run, inspection: Inspection, clock: Callable[[], float] = time.monotonic) -> Timed:
    """Times all cells. A model that fails is dropped, and the others go on.

    A repetition goes through all cells before the next begins, so that what changes within minutes affects every cell.
    Then disturbed repetitions are repeated, until none is left or the time for it is over; a repeat replaces the
    disturbed repetition. An interrupt ends it early; the times until then are kept.

    Raises:
        PerfError: no model is left.
        KeyboardInterrupt: before anything was measured.
    """
    watch, arguments = OthersWatch(), inspection.arguments
    lengths: list[Length] = [*arguments.seq_lens, *([arguments.ragged] if inspection.ragged else [])]
    timed = Timed({(threads, length): [] for threads in arguments.threads for length in lengths})
    start = clock()
    try:
        for number in range(REPETITIONS):
            for threads in arguments.threads:
                _time(run, inspection, timed, number, threads, dict.fromkeys(lengths))
        _repeat_disturbed(run, inspection, timed, clock() + REPEAT_SHARE * (clock() - start), clock)
    except KeyboardInterrupt:
        timed.interrupted = True
        timed.parts = {key: parts for key, parts in timed.parts.items() if parts}
        if not timed.parts:
            raise
    timed.other_cores = watch.cores()
    return timed


def _repeat_disturbed(run: Run, inspection: Inspection, timed: Timed, end: float, clock: Callable[[], float]) -> None:
    """Repeats disturbed repetitions, all lengths with the same sessions together; begins none after `end`."""
    while True:
        found: dict[tuple[int, int], dict[Length, str]] = {}
        for (threads, length), disturbed in timed.disturbed(run.roster.names).items():
            for number, cause in disturbed.items():
                found.setdefault((number, threads), {})[length] = cause
        if not found:
            return
        for (number, threads), by_length in sorted(found.items(), key=lambda item: item[0]):
            if clock() >= end:
                return
            _time(run, inspection, timed, number, threads, by_length)


def _time(
    run: Run, inspection: Inspection, timed: Timed, number: int, threads: int, lengths: Mapping[Length, str | None]
) -> None:
    """Times one repetition at these lengths, with fresh sessions.

    Args:
        run, inspection: The state and the inspected models.
        timed: Receives the times, in place of those of the same repetition.
        number: The repetition's index.
        threads: The number of threads.
        lengths: The lengths, with the cause where a disturbed repetition is repeated.
    """
    check = speed_check_ms()
    sessions = _open(run, inspection, threads, list(lengths), reverse=number % 2 == 1)
    for length, cause in lengths.items():
        again = "" if cause is None else f" again ({cause})"
        where = f"{length} tokens" if isinstance(length, int) else ragged_text(length)
        run.progress(f"repetition {number + 1} of {REPETITIONS}{again}: {threads_text(threads)}, {where}")
        part = _repeat(run.roster, sessions, inspection, length, inspection.arguments.seed + number)
        if part is None:
            continue
        timed.parts[threads, length][number : number + 1] = [replace(part, speed_check_ms=check)]
        if cause is not None:
            timed.repeated.setdefault((threads, length), Counter())[cause] += 1


def _repeat(
    roster: Roster, sessions: dict[str, dict[Length, Session]], inspection: Inspection, length: Length, seed: int
) -> Repetition | None:
    """Runs one repetition of one cell; restarts it without a model that fails in it.

    Returns None for a ragged batch if the models that take it have all failed.
    """
    arguments = inspection.arguments
    precision = arguments.precision * REPETITIONS**0.5  # all together are that much more precise
    budget_s = arguments.budget_s / REPETITIONS
    while opened := {name: by_length[length] for name, by_length in sessions.items() if length in by_length}:
        try:
            if isinstance(length, tuple):
                return repeat_ragged(opened, inspection.ragged, precision=precision, budget_s=budget_s, seed=seed)
            feeds = {name: inspection.feeds[name][length] for name in opened}
            return repeat(opened, feeds, precision=precision, budget_s=budget_s, seed=seed)
        except RunError as error:
            roster.drop(error.name, error)
            del sessions[error.name]
    return None


def _open(
    run: Run, inspection: Inspection, threads: int, lengths: Sequence[Length], *, reverse: bool
) -> dict[str, dict[Length, Session]]:
    """Opens each model's session for each length, one and the same where one file takes all lengths.

    A session that is opened later is often faster, because of its place in memory, so both orders are used.
    """

    def open_all(subject: Subject) -> dict[Length, Session]:
        files: dict[Length, Path] = {}
        for length in lengths:
            if isinstance(length, int):
                files[length] = subject.file(length)
            elif subject.name in inspection.ragged:
                files[length] = subject.path
        sessions = {
            file: run.opener.open(subject, file, run.provider, threads) for file in dict.fromkeys(files.values())
        }
        return {length: sessions[file] for length, file in files.items()}

    opened = run.roster.each(open_all, reverse=reverse)
    return {name: opened[name] for name in run.roster.names}
