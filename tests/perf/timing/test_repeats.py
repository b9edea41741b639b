"""Disturbed repetitions are repeated while there is time, on a clock and with sessions that the tests control."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from perf.providers import CPU, Provider
from perf.results.report import Arguments, Cell
from perf.sessions.opener import Opener
from perf.sessions.session import Session
from perf.sessions.subject import Subject
from perf.timing import repetitions
from perf.timing.cell import Repetition
from perf.timing.disturbance.causes import SPEED_CHECK, SPREAD, STEAL, causes
from perf.timing.inspection import Inspection
from perf.timing.repetitions import REPEAT_SHARE, REPETITIONS, Timed, time_all
from perf.timing.roster import Roster
from perf.timing.run import Run

THEIRS, OURS = "theirs", "ours"
MS = {THEIRS: 4.55, OURS: 1.52}
"""Medians of two models, of which a disturbance once hid that one is three times as fast."""

LUCK = (1.0, 1.01, 0.99, 1.0, 1.005, 0.995)
"""Factors between sessions of the same file, by repetition."""


def repetition(number: int, *, ours: float = 1.0, theirs: float = 1.0, stolen: float = 0.0) -> Repetition:
    """A repetition of five rounds, in which the two models take `ours` and `theirs` times as long as usual."""
    rounds = np.array([0.99, 1.0, 1.01, 1.0, 1.0])
    times = {THEIRS: MS[THEIRS] * theirs * rounds, OURS: MS[OURS] * ours * LUCK[number] * rounds}
    return Repetition(times, dict.fromkeys(times, True), stolen)


Plan = Callable[[int, int, int, int], Repetition]
"""From the repetition's index, the number of threads, the length and the attempt, from 0 on, to what is measured."""


@dataclass
class Bench:
    """A benchmark of two models whose every repetition takes a second.

    Args:
        plan: What each repetition measures.
        speed_checks: The times of the speed check in ms, in order; 1 ms after these.
    """

    plan: Plan
    speed_checks: Sequence[float] = ()
    threads: tuple[int, ...] = (2,)
    seq_lens: tuple[int, ...] = (32,)
    now: float = 0.0
    ran: list[tuple[int, int, int]] = field(default_factory=list)
    opened: list[tuple[str, int]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def open(self, subject: Subject, _file: Path, _provider: Provider, threads: int) -> Session:
        """Stands for the opener's; the session is its number of threads."""
        self.opened.append((subject.name, threads))
        return cast("Session", threads)

    def repeat(self, sessions: Mapping[str, Any], feeds: Mapping[str, Any], *, seed: int, **_: float) -> Repetition:
        place = seed, sessions[OURS], feeds[OURS]["input_ids"].size
        self.now += 1
        self.ran.append(place)
        return self.plan(*place, self.ran.count(place) - 1)

    def time(self, monkeypatch: pytest.MonkeyPatch) -> tuple[Timed, dict[tuple[int, int], Cell]]:
        """Returns the times, and the cells by number of threads and length."""
        checks = iter(self.speed_checks)
        monkeypatch.setattr(repetitions, "repeat", self.repeat)
        monkeypatch.setattr(repetitions, "speed_check_ms", lambda: next(checks, 1.0))
        roster = Roster([Subject(name, Path(name), 100) for name in MS])
        feeds = {seq_len: {"input_ids": np.zeros((1, seq_len), np.int64)} for seq_len in self.seq_lens}
        arguments = Arguments("cpu", self.seq_lens, 1, self.threads, 0.02, 10.0, 0, 100)
        inspection = Inspection(arguments, {}, dict.fromkeys(MS, feeds))
        run = Run(CPU, roster, cast("Opener", self), self.lines.append)
        timed = time_all(run, inspection, lambda: self.now)
        return timed, {(cell.threads, cell.seq_len): cell for cell in timed.cells(roster.names, inspection)}


def calm(number: int, _threads: int, _seq_len: int, _attempt: int) -> Repetition:
    return repetition(number)


def test_without_a_disturbance_nothing_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(calm, threads=(1, 2), seq_lens=(8, 32))
    timed, cells = bench.time(monkeypatch)
    assert len(bench.ran) == 4 * REPETITIONS
    assert all(cell.repeated == cell.disturbed == {} for cell in cells.values())
    assert timed.speed_check_ms == [1.0] * 2 * REPETITIONS


@pytest.mark.parametrize(
    ("disturbed", "cause"),
    [({"ours": 3.5}, SPREAD), ({"ours": 3.5, "theirs": 3.5}, SPREAD), ({"stolen": 0.2}, STEAL)],
)
def test_a_disturbed_repetition_is_repeated_and_replaced(
    disturbed: dict[str, float], cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(number: int, threads: int, seq_len: int, attempt: int) -> Repetition:
        return repetition(number, **(disturbed if (number, threads, seq_len, attempt) == (3, 2, 32, 0) else {}))

    bench = Bench(plan, threads=(1, 2), seq_lens=(8, 32))
    timed, cells = bench.time(monkeypatch)
    assert bench.ran[4 * REPETITIONS :] == [(3, 2, 32)]  # nothing else
    assert bench.opened[-2:] == [(OURS, 2), (THEIRS, 2)]  # fresh sessions, in the order of the fourth repetition
    assert bench.lines[-1] == f"repetition 4 of 6 again ({cause}): 2 threads, 32 tokens"
    expected = Bench(calm, threads=(1, 2), seq_lens=(8, 32)).time(monkeypatch)[1]
    assert cells == {**expected, (2, 32): replace(expected[2, 32], repeated={cause: 1})}
    speedup = cells[2, 32].measurements[1].speedup
    assert speedup is not None
    assert 2.9 < speedup.low <= speedup.high < 3.1
    assert len(timed.parts[2, 32]) == REPETITIONS


def test_a_slow_speed_check_repeats_all_lengths_of_its_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(calm, [1.0, 1.0, 1.2], threads=(1,), seq_lens=(8, 32))
    timed, cells = bench.time(monkeypatch)
    assert bench.ran[2 * REPETITIONS :] == [(2, 1, 8), (2, 1, 32)]
    assert [cell.repeated for cell in cells.values()] == [{SPEED_CHECK: 1}] * 2
    assert timed.speed_check_ms == [1.0] * REPETITIONS  # the check of what was discarded is gone, too


def test_the_time_for_repeats_is_bounded_and_what_stays_disturbed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(number: int, _threads: int, _seq_len: int, _attempt: int) -> Repetition:
        return repetition(number, ours=3.5 if number == 1 else 1.0)

    bench = Bench(plan)
    _, cells = bench.time(monkeypatch)
    repeats = int(REPETITIONS * REPEAT_SHARE)
    assert bench.ran[REPETITIONS:] == [(1, 2, 32)] * repeats
    cell = cells[2, 32]
    assert (cell.repeated, cell.disturbed) == ({SPREAD: repeats}, {SPREAD: 1})
    ours = cell.measurements[1]
    assert max(ours.times_ms) > 3 * MS[OURS]  # it still counts
    assert ours.speedup is not None  # and hides nothing
    assert ours.speedup.significant
    assert 2.9 < ours.speedup.low <= ours.speedup.median < 3.1


def test_no_repeat_begins_without_time_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repetitions, "REPEAT_SHARE", 0.0)
    bench = Bench(lambda number, *_: repetition(number, stolen=0.2 * (number == 0)))
    _, cells = bench.time(monkeypatch)
    assert len(bench.ran) == REPETITIONS
    assert (cells[2, 32].repeated, cells[2, 32].disturbed) == ({}, {STEAL: 1})


def test_an_interrupt_of_the_repeats_keeps_all_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(number: int, _threads: int, _seq_len: int, attempt: int) -> Repetition:
        if attempt:
            raise KeyboardInterrupt
        return repetition(number, ours=3.5 if number == 1 else 1.0)

    timed, cells = Bench(plan).time(monkeypatch)
    assert timed.interrupted
    assert (len(cells[2, 32].rounds), cells[2, 32].disturbed) == (REPETITIONS, {SPREAD: 1})


def test_causes() -> None:
    usual = [replace(repetition(number), speed_check_ms=1.0) for number in range(REPETITIONS)]
    assert causes(usual, list(MS), 1.0) == {}
    changes: dict[int, dict[str, Any]] = {
        0: {"speed_check_ms": 1.09, "stolen_cores": 0.05},  # at the limits
        1: {"speed_check_ms": 1.2, "stolen_cores": 0.2},
        3: {"speed_check_ms": 1.2, "times_ms": repetition(3, theirs=1.5).times_ms},
        4: {"times_ms": repetition(4, theirs=1.2).times_ms},
        5: {"times_ms": repetition(5, ours=0.5).times_ms},  # faster
    }
    mixed = [replace(one, **changes.get(number, {})) for number, one in enumerate(usual)]
    assert causes(mixed, list(MS), 1.0) == {1: STEAL, 3: SPEED_CHECK, 4: SPREAD}
    assert causes(mixed, [OURS], 1.0) == {1: STEAL, 3: SPEED_CHECK}  # a model that left the benchmark does not count
