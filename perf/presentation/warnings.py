"""What in a bench is to be doubted: each warning names its cause, and the option or deed that mends it."""

from __future__ import annotations

from collections.abc import Sequence

from perf.machine.machine import Machine
from perf.results.report import Arguments, Cell, SubjectReport, threads_text
from perf.statistics import FEWEST
from perf.timing.warmup import STEADY

BUSY = 0.5
"""A load average above this share of the cores means that other programs use them too."""

TAKEN = 0.1
"""The share of the cores that other programs may use while models are timed."""

ANOTHER = 0.01
"""Outputs this far from the first model's are no float32 rounding, which was seen to stay below 1e-4."""

MOVED = 0.1
"""A task that is always the same takes so much longer or shorter only when the machine's own speed moves."""

FEW = 20
"""Of fewer runs, one in ten is hardly one, and the 90th percentile is the slowest or next to it."""

LOST = 1.0
"""The centred error of outputs that never change."""


def find_warnings(
    machine: Machine,
    arguments: Arguments,
    other_cores: float,
    cells: Sequence[Cell],
    subjects: Sequence[SubjectReport] = (),
    speed_check_ms: Sequence[float] = (),
    *,
    interrupted: bool = False,
) -> list[str]:
    """The warnings, in the order of their causes: models, threads, the machine, other programs, warm-up, intervals."""
    models = [*_strangers(subjects), *_padding(subjects), *_lost(subjects)]
    found = [
        *_cut_short(cells, interrupted),
        *models,
        *_threads(machine, arguments),
        *_speed(machine, speed_check_ms),
        *_load(machine),
    ]
    return [
        text
        for text in (
            *found,
            _others(machine, other_cores),
            _unsteady(cells),
            _few(cells),
            _unstable(arguments, cells),
        )
        if text
    ]


def _strangers(subjects: Sequence[SubjectReport]) -> list[str]:
    """One line for all, since many models at lower precision may stand in a report."""
    far = [one for one in subjects if one.difference is not None and not one.difference <= ANOTHER]
    first, advice = subjects[0].name if subjects else "", "compare the speed of equal models, or know what is lost"
    if len(far) == 1:
        return [
            f"{far[0].name} does not say the same as {first}: its outputs differ by {far[0].difference:.2g} of how "
            f"much they vary; {advice}"
        ]
    if not far:
        return []
    told = ", ".join(f"{one.name} by {one.difference:.2g}" for one in far)
    return [
        f"{len(far)} models do not say the same as {first}: outputs differ, as a share of how much they vary, in "
        f"{told}; {advice}"
    ]


def _padding(subjects: Sequence[SubjectReport]) -> list[str]:
    return [
        f"{subject.name} treats padding otherwise than {subjects[0].name}: on texts half of which are padding, its "
        f"outputs for the other half differ by {subject.padded_difference:.2g} of how much they vary; give it texts "
        "at their own lengths, or a model that takes an attention_mask"
        for subject in subjects
        if subject.difference is not None and subject.difference <= ANOTHER
        if subject.padded_difference is not None and not subject.padded_difference <= ANOTHER
    ]


def _cut_short(cells: Sequence[Cell], interrupted: bool) -> list[str]:
    if not interrupted:
        return []
    done = [len(cell.rounds) for cell in cells]
    if min(done) == FEWEST:
        return ["interrupted when all was timed: the peaks, and where the time goes, are left out"]
    return [
        f"interrupted: of {FEWEST} repetitions, {min(done)} to {max(done)} were done, and ratios need all of them; "
        "the medians are of what was measured until then"
    ]


def _few(cells: Sequence[Cell]) -> str | None:
    found = [(item.runs, cell, item) for cell in cells for item in cell.measurements if item.runs < FEW]
    if not found:
        return None
    runs, cell, item = min(found, key=lambda entry: entry[0])
    return (
        f"too few runs for percentiles in {_share(found, cells)}, the fewest {item.subject} at {_where(cell)} "
        f"({runs}): p90 and p99 are the slowest or next to it; pass a longer --budget"
    )


def _lost(subjects: Sequence[SubjectReport]) -> list[str]:
    return [
        f"{subject.name} says nothing of what its float model says: its centred error is {subject.error:.2g}, and that "
        f"of outputs which never change is {LOST:.0f}; do not use it, whatever its times are"
        for subject in subjects
        if subject.error is not None and not subject.error < LOST
    ]


def _threads(machine: Machine, arguments: Arguments) -> list[str]:
    cores = machine.available_cores
    return [
        f"{count} threads share {cores} available cores and wait for each other; pass --threads {cores} or fewer"
        for count in arguments.threads
        if count > cores
    ]


def _speed(machine: Machine, speed_check_ms: Sequence[float]) -> list[str]:
    found = []
    if machine.is_emulated:
        found.append(
            f"this {machine.architecture} machine is emulated: its milliseconds are no measurement of such a machine; "
            "what models compute on it is; time them on a real one"
        )
    if machine.governor not in (None, "performance"):
        found.append(
            f"the governor {machine.governor!r} changes the processor's frequency; choose performance "
            "(cpupower frequency-set -g performance), and repeat"
        )
    if speed_check_ms and max(speed_check_ms) > (1 + MOVED) * min(speed_check_ms):
        found.append(
            f"the machine's own speed moved while the models were timed: a task that is always the same took "
            f"{min(speed_check_ms):.2f} to {max(speed_check_ms):.2f} ms; trust ratios, not milliseconds, or fix the "
            "frequency, end other programs, and repeat"
        )
    return found


def _load(machine: Machine) -> list[str]:
    cores = machine.logical_cores or machine.available_cores
    if not machine.load_average or machine.load_average[0] <= BUSY * cores:
        return []
    return [
        f"the load average was {machine.load_average[0]} on {cores} cores at the start, so something else had just "
        "used them; wait until it has ended, and repeat"
    ]


def _others(machine: Machine, other_cores: float) -> str | None:
    cores = machine.logical_cores or machine.available_cores
    if other_cores <= TAKEN * cores:
        return None
    return (
        f"other programs used {other_cores:.1f} of {cores} cores while the models were timed, which hurts the most "
        "where threads are many; end them and repeat, or pass --threads 1"
    )


def _unsteady(cells: Sequence[Cell]) -> str | None:
    found = [
        (item.unsteady_repetitions, cell, item)
        for cell in cells
        for item in cell.measurements
        if item.unsteady_repetitions > len(cell.rounds) / 2
    ]
    if not found:
        return None
    count, cell, item = max(found, key=lambda entry: entry[0])
    return (
        f"warm-up ended in {_share(found, cells)} while the time of most repetitions still moved by over {STEADY:.0%}, "
        f"the most in {item.subject} at {_where(cell)} ({count} of {len(cell.rounds)} repetitions); "
        "end other programs, or pass a longer --budget"
    )


def _unstable(arguments: Arguments, cells: Sequence[Cell]) -> str | None:
    found = [(item.relative_half_width, cell, item) for cell in cells for item in cell.measurements if not item.stable]
    if not found:
        return None
    width, cell, item = max(found, key=lambda entry: entry[0])
    return (
        f"unstable: {_share(found, cells)} are not known to the ±{arguments.precision:.1%} that was asked, the least "
        f"{item.subject} at {_where(cell)}, to ±{width:.1%} after {item.runs} runs; "
        "end other programs, pass a longer --budget, or a wider --precision"
    )


def _share(found: Sequence[object], cells: Sequence[Cell]) -> str:
    return f"{len(found)} of {sum(len(cell.measurements) for cell in cells)} medians"


def _where(cell: Cell) -> str:
    return f"{cell.seq_len} tokens, {threads_text(cell.threads)}"
