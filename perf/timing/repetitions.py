"""All repetitions of all cells of a bench, with fresh sessions, though models fail and people lose patience."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from perf.providers import Provider
from perf.results.report import Arguments, threads_text
from perf.sessions.opener import Opener
from perf.sessions.session import Session
from perf.sessions.subject import Subject
from perf.statistics import FEWEST
from perf.timing.cell import Repetition, RunError, repeat
from perf.timing.roster import Roster
from perf.timing.speed_check import speed_check_ms

REPETITIONS = FEWEST
"""Each cell is timed this often, with fresh sessions: the fewest values whose median has a 95 % interval."""

Feeds = Mapping[str, Mapping[int, dict[str, np.ndarray]]]
"""By a model's name and by length."""


@dataclass
class Timed:
    """What was timed: the repetitions of each cell, whose key is (threads, seq_len), and the guard's times in ms."""

    cells: dict[tuple[int, int], list[Repetition]]
    speed_check_ms: list[float] = field(default_factory=list)
    interrupted: bool = False


def all_repetitions(
    models: Roster,
    opener: Opener,
    provider: Provider,
    feeds: Feeds,
    arguments: Arguments,
    tell: Callable[[str], None],
) -> Timed:
    """Times the cells. A model that fails is dropped, and the others go on.

    A repetition goes through all cells before the next begins, so that what changes within minutes befalls every cell.
    An interrupt ends it early; what was measured until then is kept.

    Raises:
        PerfError: when no model is left.
        KeyboardInterrupt: nothing was measured until then.
    """
    timed = Timed({(count, seq_len): [] for count in arguments.threads for seq_len in arguments.seq_lens})
    try:
        for number in range(REPETITIONS):
            for count in arguments.threads:
                timed.speed_check_ms.append(speed_check_ms())
                sessions = _open(models, opener, provider, count, arguments, reverse=number % 2 == 1)
                for seq_len in arguments.seq_lens:
                    tell(f"repetition {number + 1} of {REPETITIONS}: {threads_text(count)}, {seq_len} tokens")
                    part = _repeat(models, sessions, feeds, seq_len, arguments, arguments.seed + number)
                    timed.cells[count, seq_len].append(part)
                sessions.clear()  # or the next thread count's would be made while these hold memory
    except KeyboardInterrupt:
        timed.interrupted = True
        timed.cells = {key: parts for key, parts in timed.cells.items() if parts}
        if not timed.cells:
            raise
    return timed


def _repeat(
    models: Roster,
    sessions: dict[str, dict[int, Session]],
    feeds: Feeds,
    seq_len: int,
    arguments: Arguments,
    seed: int,
) -> Repetition:
    """One repetition of one cell, begun anew without a model that failed in it."""
    while True:
        try:
            return repeat(
                {name: by_length[seq_len] for name, by_length in sessions.items()},
                {name: feeds[name][seq_len] for name in sessions},
                precision=arguments.precision * REPETITIONS**0.5,  # all together are that much more precise
                budget_s=arguments.budget_s / REPETITIONS,
                seed=seed,
            )
        except RunError as error:
            models.drop(error.name, error)
            del sessions[error.name]


def _open(
    models: Roster, opener: Opener, provider: Provider, threads: int, arguments: Arguments, *, reverse: bool
) -> dict[str, dict[int, Session]]:
    """For each subject its session for each length, which is one and the same where one file takes all.

    Who is made later often lies better in memory, so both orders are used.
    """

    def open_all(subject: Subject) -> dict[int, Session]:
        files = dict.fromkeys(subject.file(seq_len) for seq_len in arguments.seq_lens)
        sessions = {file: opener.open(subject, file, provider, threads) for file in files}
        return {seq_len: sessions[subject.file(seq_len)] for seq_len in arguments.seq_lens}

    made = models.each(open_all, reverse=reverse)
    return {subject.name: made[subject.name] for subject in models.subjects}
