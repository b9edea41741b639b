"""All repetitions of all cells of a benchmark, each with fresh sessions; survives failing models and interrupts.

Disturbed repetitions are repeated after all others: a disturbance of some seconds is then over.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from perf.machine.machine import OthersWatch
from perf.results.report import Cell, threads_text
from perf.sessions.session import Session
from perf.sessions.subject import Subject
from perf.statistics import FEWEST
from perf.timing.cell import Repetition, RunError, combine, repeat
from perf.timing.disturbance.causes import causes
from perf.timing.disturbance.speed_check import speed_check_ms
from perf.timing.inspection import Inspection
from perf.timing.roster import Roster
from perf.timing.run import Run

REPETITIONS = FEWEST
"""Repetitions of each cell, with fresh sessions: the fewest values whose median has a 95 % interval."""

REPEAT_SHARE = 0.5
"""Time for repeats of disturbed repetitions, as a share of the time that all repetitions took, loading included."""


@dataclass
class Timed:
    """The measured times.

    Args:
        parts: The repetitions of each cell, by (threads, seq_len).
        repeated: How many repetitions of each cell were repeated, by cause.
        other_cores: How many cores' worth of time other programs used meanwhile.
        interrupted: Whether a KeyboardInterrupt ended it early.
    """

    parts: dict[tuple[int, int], list[Repetition]]
    repeated: dict[tuple[int, int], Counter[str]] = field(default_factory=dict)
    other_cores: float = 0.0
    interrupted: bool = False

    @property
    def speed_check_ms(self) -> list[float]:
        """The times of the speed check, one before each repetition with each number of threads."""
        found: dict[tuple[int, int, float], None] = {}
        for (threads, _), parts in self.parts.items():
            found.update(dict.fromkeys((number, threads, part.speed_check_ms) for number, part in enumerate(parts)))
        return [check for *_, check in sorted(found, key=lambda key: key[:2])]

    def disturbed(self, names: Sequence[str]) -> dict[tuple[int, int], dict[int, str]]:
        """Returns the disturbed repetitions of each cell by index, with the cause; of the models of these names."""
        usual = median(self.speed_check_ms)
        return {key: causes(parts, names, usual) for key, parts in self.parts.items()}

    def cells(self, names: list[str], inspection: Inspection) -> tuple[Cell, ...]:
        """Returns the statistics of each cell, of the models of these names."""
        disturbed = self.disturbed(names)
        return tuple(
            replace(
                combine(
                    {name: inspection.tokens(name, seq_len) for name in names},
                    parts,
                    seq_len=seq_len,
                    threads=threads,
                    precision=inspection.arguments.precision,
                ),
                repeated=dict(self.repeated.get((threads, seq_len), {})),
                disturbed=dict(Counter(disturbed[threads, seq_len].values())),
            )
            for (threads, seq_len), parts in self.parts.items()
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
    timed = Timed({(threads, seq_len): [] for threads in arguments.threads for seq_len in arguments.seq_lens})
    start = clock()
    try:
        for number in range(REPETITIONS):
            for threads in arguments.threads:
                _time(run, inspection, timed, number, threads, dict.fromkeys(arguments.seq_lens))
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
        found: dict[tuple[int, int], dict[int, str]] = {}
        for (threads, seq_len), disturbed in timed.disturbed(run.roster.names).items():
            for number, cause in disturbed.items():
                found.setdefault((number, threads), {})[seq_len] = cause
        if not found:
            return
        for (number, threads), by_length in sorted(found.items()):
            if clock() >= end:
                return
            _time(run, inspection, timed, number, threads, by_length)


def _time(
    run: Run, inspection: Inspection, timed: Timed, number: int, threads: int, lengths: Mapping[int, str | None]
) -> None:
    """Times one repetition at these lengths, with fresh sessions.

    Args:
        run, inspection: The state and the inspected models.
        timed: Receives the times, in place of those of the same repetition.
        number: The repetition's index.
        threads: The number of threads.
        lengths: The lengths in tokens, with the cause where a disturbed repetition is repeated.
    """
    check = speed_check_ms()
    sessions = _open(run, threads, list(lengths), reverse=number % 2 == 1)
    for seq_len, cause in lengths.items():
        again = "" if cause is None else f" again ({cause})"
        run.progress(f"repetition {number + 1} of {REPETITIONS}{again}: {threads_text(threads)}, {seq_len} tokens")
        part = _repeat(run.roster, sessions, inspection, seq_len, inspection.arguments.seed + number)
        timed.parts[threads, seq_len][number : number + 1] = [replace(part, speed_check_ms=check)]
        if cause is not None:
            timed.repeated.setdefault((threads, seq_len), Counter())[cause] += 1


def _repeat(
    roster: Roster, sessions: dict[str, dict[int, Session]], inspection: Inspection, seq_len: int, seed: int
) -> Repetition:
    """Runs one repetition of one cell; restarts it without a model that fails in it."""
    while True:
        try:
            return repeat(
                {name: by_length[seq_len] for name, by_length in sessions.items()},
                {name: inspection.feeds[name][seq_len] for name in sessions},
                precision=inspection.arguments.precision * REPETITIONS**0.5,  # all together are that much more precise
                budget_s=inspection.arguments.budget_s / REPETITIONS,
                seed=seed,
            )
        except RunError as error:
            roster.drop(error.name, error)
            del sessions[error.name]


def _open(run: Run, threads: int, seq_lens: Sequence[int], *, reverse: bool) -> dict[str, dict[int, Session]]:
    """Opens each model's session for each length, one and the same where one file takes all lengths.

    A session that is opened later is often faster, because of its place in memory, so both orders are used.
    """

    def open_all(subject: Subject) -> dict[int, Session]:
        files = dict.fromkeys(subject.file(seq_len) for seq_len in seq_lens)
        sessions = {file: run.opener.open(subject, file, run.provider, threads) for file in files}
        return {seq_len: sessions[subject.file(seq_len)] for seq_len in seq_lens}

    opened = run.roster.each(open_all, reverse=reverse)
    return {name: opened[name] for name in run.roster.names}
