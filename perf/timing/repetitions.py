"""All repetitions of all cells of a benchmark, each with fresh sessions; survives failing models and interrupts."""

from __future__ import annotations

from dataclasses import dataclass, field

from perf.machine.machine import OthersWatch
from perf.results.report import Arguments, Cell, threads_text
from perf.sessions.session import Session
from perf.sessions.subject import Subject
from perf.statistics import FEWEST
from perf.timing.cell import Repetition, RunError, combine, repeat
from perf.timing.inspection import Inspection
from perf.timing.roster import Roster
from perf.timing.run import Run
from perf.timing.speed_check import speed_check_ms

REPETITIONS = FEWEST
"""Repetitions of each cell, with fresh sessions: the fewest values whose median has a 95 % interval."""


@dataclass
class Timed:
    """The measured times.

    Args:
        parts: The repetitions of each cell, by (threads, seq_len).
        speed_check_ms: The times of the speed check, one before each repetition with each number of threads.
        other_cores: How many cores' worth of time other programs used meanwhile.
        interrupted: Whether a KeyboardInterrupt ended it early.
    """

    parts: dict[tuple[int, int], list[Repetition]]
    speed_check_ms: list[float] = field(default_factory=list)
    other_cores: float = 0.0
    interrupted: bool = False

    def cells(self, names: list[str], inspection: Inspection) -> tuple[Cell, ...]:
        """Returns the statistics of each cell, of the models of these names."""
        return tuple(
            combine(
                {name: inspection.tokens(name, seq_len) for name in names},
                parts,
                seq_len=seq_len,
                threads=threads,
                precision=inspection.arguments.precision,
            )
            for (threads, seq_len), parts in self.parts.items()
        )


def time_all(run: Run, inspection: Inspection) -> Timed:
    """Times all cells. A model that fails is dropped, and the others go on.

    A repetition goes through all cells before the next begins, so that what changes within minutes affects every cell.
    An interrupt ends it early; the times until then are kept.

    Raises:
        PerfError: no model is left.
        KeyboardInterrupt: before anything was measured.
    """
    watch, arguments = OthersWatch(), inspection.arguments
    timed = Timed({(threads, seq_len): [] for threads in arguments.threads for seq_len in arguments.seq_lens})
    try:
        for number in range(REPETITIONS):
            for threads in arguments.threads:
                timed.speed_check_ms.append(speed_check_ms())
                sessions = _open(run, threads, arguments, reverse=number % 2 == 1)
                for seq_len in arguments.seq_lens:
                    run.progress(f"repetition {number + 1} of {REPETITIONS}: {threads_text(threads)}, {seq_len} tokens")
                    part = _repeat(run.roster, sessions, inspection, seq_len, arguments.seed + number)
                    timed.parts[threads, seq_len].append(part)
                sessions.clear()  # or the sessions with more threads would be opened while these hold memory
    except KeyboardInterrupt:
        timed.interrupted = True
        timed.parts = {key: parts for key, parts in timed.parts.items() if parts}
        if not timed.parts:
            raise
    timed.other_cores = watch.cores()
    return timed


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


def _open(run: Run, threads: int, arguments: Arguments, *, reverse: bool) -> dict[str, dict[int, Session]]:
    """Opens each model's session for each length, one and the same where one file takes all lengths.

    A session that is opened later is often faster, because of its place in memory, so both orders are used.
    """

    def open_all(subject: Subject) -> dict[int, Session]:
        files = dict.fromkeys(subject.file(seq_len) for seq_len in arguments.seq_lens)
        sessions = {file: run.opener.open(subject, file, run.provider, threads) for file in files}
        return {seq_len: sessions[subject.file(seq_len)] for seq_len in arguments.seq_lens}

    opened = run.roster.each(open_all, reverse=reverse)
    return {name: opened[name] for name in run.roster.names}
