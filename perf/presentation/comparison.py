"""Comparison of two reports of the same models: which became faster, slower, or neither significantly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perf.errors import PerfUsageError
from perf.results.report import Cell, Measurement, Report
from perf.statistics import FEWEST_BETWEEN, Ratio, ratio_between
from perf.timing.disturbance.speed_check import MOVED

SLOWER, FASTER, UNDECIDED = "slower", "faster", "not significant"


@dataclass(frozen=True)
class Change:
    """Change of one model in one cell: medians in ms, and the new speed relative to the old one."""

    subject: str
    seq_len: int
    threads: int
    old_ms: float
    new_ms: float
    ratio: Ratio

    @property
    def verdict(self) -> str:
        """`faster`, `slower` or `not significant`."""
        if not self.ratio.significant:
            return UNDECIDED
        return FASTER if self.ratio.median > 1 else SLOWER


@dataclass(frozen=True)
class Comparison:
    """Changes of the models that both reports have, and warnings: another machine, other versions, missing models."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]

    @property
    def slower(self) -> bool:
        """True if anything became slower."""
        return any(change.verdict == SLOWER for change in self.changes)


def compare(old: Report, new: Report) -> Comparison:
    """Compares models of the same name at the same length and number of threads.

    Runs of two benchmarks have no rounds in common, so each repetition counts as one value, its median, and the
    interval of the ratio is that of `perf.statistics.ratio_between`.

    Raises PerfUsageError if the reports have no cell in common, or none with enough repetitions.
    """
    before = {key: found for cell in old.cells for key, found in _by_key(cell).items()}
    after = {key: found for cell in new.cells for key, found in _by_key(cell).items()}
    shared = [key for key in after if key in before]
    if not shared:
        raise PerfUsageError(
            f"the reports have no model, length and number of threads in common (old: {_names(old)}; new: "
            f"{_names(new)}); expected two reports of the same bench"
        )
    short = {key for key in shared if min(len(before[key][1]), len(after[key][1])) < FEWEST_BETWEEN}
    if len(short) == len(shared):
        raise PerfUsageError(
            f"a report has fewer than {FEWEST_BETWEEN} repetitions of each cell, as after an interrupt, which give no "
            "interval; expected two complete reports: measure again"
        )
    changes = []
    for subject, seq_len, threads in [key for key in shared if key not in short]:
        (was, rounds), (now, new_rounds) = before[subject, seq_len, threads], after[subject, seq_len, threads]
        found = ratio_between(_medians(was, rounds), _medians(now, new_rounds))
        changes.append(Change(subject, seq_len, threads, was.median_ms, now.median_ms, found))
    alone = sorted({key[0] for key in before.keys() ^ after.keys()})
    return Comparison(tuple(changes), tuple(_warnings(old, new, alone, len(short))))


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints a row for each change, and the warnings."""
    table = Table(box=box.SIMPLE_HEAD)
    for header in ("tokens", "threads", "model", "old ms", "new ms", "times as fast", ""):
        text = header in ("model", "")
        table.add_column(Text(header), justify="left" if text else "right", overflow="fold")
    for item in comparison.changes:
        ratio = f"{item.ratio.median:.2f} ({item.ratio.low:.2f}–{item.ratio.high:.2f})"
        cells = (str(item.seq_len), str(item.threads), item.subject, f"{item.old_ms:.2f}", f"{item.new_ms:.2f}", ratio)
        table.add_row(*map(Text, (*cells, item.verdict)))
    console.print(table)
    for warning in comparison.warnings:
        console.print(Text.assemble(("warning: ", "yellow"), warning), soft_wrap=True)


def _by_key(cell: Cell) -> dict[tuple[str, int, int], tuple[Measurement, Sequence[int]]]:
    return {(item.subject, cell.seq_len, cell.threads): (item, cell.rounds) for item in cell.measurements}


def _medians(item: Measurement, rounds: Sequence[int]) -> list[float]:
    return [float(np.median(part)) for part in np.split(np.asarray(item.times_ms), np.cumsum(rounds)[:-1])]


def _names(report: Report) -> str:
    return ", ".join(subject.name for subject in report.subjects)


def _warnings(old: Report, new: Report, alone: Sequence[str], short: int) -> list[str]:
    pairs = {
        "the machine": (old.machine.cpu, new.machine.cpu),
        "the set of processor features": (old.machine.cpu_features, new.machine.cpu_features),
        "the system": (old.machine.os, new.machine.os),
        "onnxruntime": (old.software.onnxruntime, new.software.onnxruntime),
        "Python": (old.software.python, new.software.python),
        "the provider": (old.arguments.provider, new.arguments.provider),
        "the batch": (old.arguments.batch, new.arguments.batch),
        "the seed": (old.arguments.seed, new.arguments.seed),
    }
    found = [
        f"{what} differs ({_text(was)}, then {_text(now)}), which may have caused a change; measure both alike"
        for what, (was, now) in pairs.items()
        if was != now
    ]
    if old.speed_check_ms and new.speed_check_ms:
        before, after = median(old.speed_check_ms), median(new.speed_check_ms)
        if not 1 / (1 + MOVED) <= after / before <= 1 + MOVED:
            found.append(
                f"the machine's speed differs: a fixed task took {before:.2f}, then {after:.2f} ms, so all times may "
                "have changed by as much; measure both alike"
            )
    if alone:
        found.append(f"the reports do not have the same cells of {', '.join(alone)}; only cells in both are compared")
    if short:
        found.append(f"{short} cells have fewer than {FEWEST_BETWEEN} repetitions and are left out; measure again")
    found += [
        f"the {which} report: {warning}"
        for which, report in (("old", old), ("new", new))
        for warning in report.warnings
    ]
    return found


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
