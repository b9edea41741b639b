"""Check of a report that was read: quantities that no benchmark measures would stop its tables and charts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from perf.results.report import AnyCell, RaggedCell, Report

# More than any time, size or count of a benchmark, and still exact enough as a float.
LARGEST = 10**18

# A benchmark has six; the exact interval of a ratio takes their cube.
MOST_REPETITIONS = 100

# Fields that are ratios of what was measured, or divisors of one.
POSITIVE = {
    "seq_lens",
    "seq_len",
    "ragged",
    "lengths",
    "threads",
    "batch",
    "error_seq_len",
    "median_ms",
    "low_ms",
    "high_ms",
    "p90_ms",
    "p99_ms",
    "times_ms",
    "speed_check_ms",
    "rounds",
    "tokens_per_second",
    "gmacs",
    "bandwidth_gb_s",
    "median",
    "low",
    "high",
    "layers",
}
# Centred errors, which may be infinite.
UNBOUNDED = {"difference", "error", "cpu_difference", "padded_difference", "batch_difference"}
# The one number that may be negative.
SIGNED = "seed"


def fault_in(report: Report) -> str | None:
    """Returns what is wrong with a report in a few words; None for one that can be shown."""
    for name, number in _numbers(report):
        fault = _fault(name, number)
        if fault is not None:
            return f"{name} is {fault}" if not abs(number) < LARGEST else f"{name} is {number:.3g}, {fault}"
    if not report.arguments.seq_lens or not report.arguments.threads:
        return "arguments has no seq_lens, or no threads"
    names = {subject.name for subject in report.subjects}
    cells: tuple[AnyCell, ...] = (*report.cells, *report.ragged)
    unknown = [item.subject for cell in cells for item in cell.measurements if item.subject not in names]
    if (report.ragged or report.ragged_models) and not report.arguments.ragged:
        return "arguments has no lengths of its ragged batch"
    for cell in cells:
        if isinstance(cell, RaggedCell) and not cell.lengths:
            return "a ragged batch has no lengths"
        if len(cell.rounds) > MOST_REPETITIONS:
            return f"a cell has {len(cell.rounds)} repetitions, more than {MOST_REPETITIONS}"
        wrong = [item.subject for item in cell.measurements if len(item.times_ms) != sum(cell.rounds)]
        if wrong:
            return f"a cell does not have one time of {wrong[0]!r} for each of its {sum(cell.rounds)} rounds"
    return f"a cell has times of {unknown[0]!r}, which is not among the subjects" if unknown else None


def _fault(name: str, number: float) -> str | None:
    if abs(number) > LARGEST:
        return None if name in UNBOUNDED and number == math.inf else f"beyond {LARGEST:.0e}"
    if math.isnan(number):
        return "not a number"
    if number < 0 and name != SIGNED:
        return "below 0"
    return "expected more than 0" if number == 0 and name in POSITIVE else None


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yields the name of a field and each number in it."""
    if is_dataclass(value):
        for field in fields(value):
            yield from _numbers(getattr(value, field.name), field.name)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(key, "seq_len")
            yield from _numbers(item, name)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _numbers(item, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value
