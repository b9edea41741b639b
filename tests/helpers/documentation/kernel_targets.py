"""The targets of the native kernels, from the reports of `make bench-kernels`.

`python tests/helpers/documentation/kernel_targets.py build/bench-kernels-int8.json build/bench-kernels-fp32.json
[build/profile.txt]` prints a table as Markdown: for each target what was measured, the target, the goal after it, and
whether they are reached. The third file is the output of `build/profile`, whose first line has the peak rates.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mbert_onnx import read_report
from perf.errors import PerfError
from perf.results.report import Report, threads_text
from perf.statistics import Ratio

INT8, FLOAT, HALF = "native:int8:random", "native:random", "fp16:random"
DYNAMIC = "ort-dynamic:transformers:random"

CELLS = ((8, 1), (32, 1), (128, 1), (384, 1), (8, 2), (32, 2), (128, 2), (384, 2))
"""Tokens and threads."""


@dataclass(frozen=True)
class Comparison:
    """The speed of a model relative to another one: for each of `CELLS` the target, and the goal after it or None."""

    title: str
    model: str
    other: str
    targets: tuple[tuple[float, float | None], ...]


NOT_SLOWER: tuple[tuple[float, float | None], ...] = ((1.0, None),) * len(CELLS)

COMPARISONS = (
    Comparison(
        "int8 over LiteRT int8",
        INT8,
        "litert-int8:random",
        ((2.2, 2.8), (1.55, 1.8), (1.4, 1.55), (1.45, 1.65), (1.9, 2.6), (1.75, 2.0), (1.5, 1.7), (1.45, 1.65)),
    ),
    Comparison(
        "int8 over OpenVINO int8, fixed length",
        INT8,
        "openvino-int8-fixed:transformers:random",
        ((4.0, None), (2.3, None), (1.45, 1.6), (1.2, 1.35), (4.0, None), (2.9, None), (1.75, None), (1.3, 1.45)),
    ),
    Comparison(
        "fp32 over LiteRT fp32",
        FLOAT,
        "litert:random",
        ((1.5, 1.7), (1.2, 1.3), (1.12, 1.2), (1.05, 1.12), (1.3, 1.6), (1.25, 1.35), (1.12, 1.2), (1.04, 1.12)),
    ),
    Comparison(
        "fp32 over our file without kernels",
        FLOAT,
        "portable:random",
        ((1.9, None), (1.6, None), (1.25, None), (1.12, 1.2), (1.5, None), (1.6, None), (1.35, None), (1.15, 1.2)),
    ),
    Comparison("fp32 over OpenVINO fp32, fixed length", FLOAT, "openvino-fixed:transformers:random", NOT_SLOWER),
    Comparison("fp32 over transformers' export", FLOAT, "transformers:random", NOT_SLOWER),
    Comparison("fp16 over fp32", HALF, FLOAT, tuple((1.4 if tokens == 8 else 1.0, None) for tokens, _ in CELLS)),
)

RAGGED_COST, RAGGED_SPEED = 1.08, 2.2
"""Most time of the ragged batch, as a multiple of that of its texts; least speed relative to quantize_dynamic."""

MOST_LOAD_MS, MOST_INT8_MB, MOST_FLOAT_MB, MOST_HALF_SHARE = 60.0, 72.0, 135.0, 0.65
"""Load time of int8; peak memory of int8 and of float32; peak memory of fp16 as a share of that of float32."""

GMACS, MOST_OF_REGISTERS, GOAL_OF_REGISTERS = 2.69, 1.35, 1.25
"""10^9 multiply-accumulates of a text of 128 tokens; the time of a run as a multiple of theirs in the register loop."""

PEAK = re.compile(r"peak rates: int8 ([\d.]+) GMAC/s")
MISSING = "–"


@dataclass(frozen=True)
class Row:
    """One target: what it is of, the measured value with its interval, and the bounds.

    `at_most`: the value must not be above the bounds; otherwise not below them. `value` is None if it was not measured.
    """

    title: str
    value: float | None
    target: float
    goal: float | None = None
    interval: tuple[float, float] | None = None
    unit: str = ""
    at_most: bool = False

    def reaches(self, bound: float | None) -> bool:
        """Returns whether the value was measured and is within a bound; false for no bound."""
        if self.value is None or bound is None:
            return False
        return self.value <= bound if self.at_most else self.value >= bound

    def __str__(self) -> str:
        """The row in Markdown."""
        bound = "≤" if self.at_most else "≥"
        goal = MISSING if self.goal is None else f"{bound} {self.goal:g}{self.unit}"
        return (
            f"| {self.title} | {self._measured()} | {bound} {self.target:g}{self.unit} | {goal} | {self._reached()} |"
        )

    def _measured(self) -> str:
        if self.value is None:
            return MISSING
        decimals = 2 if self.value < 10 else 1
        value = f"{self.value:.{decimals}f}{self.unit}"
        return value if self.interval is None else f"{value} ({self.interval[0]:.2f}–{self.interval[1]:.2f})"

    def _reached(self) -> str:
        if self.value is None:
            return "not measured"
        return "goal" if self.reaches(self.goal) else "yes" if self.reaches(self.target) else "**no**"


def rows(int8: Report, floats: Report, profile: str = "") -> list[Row]:
    """Returns all targets that the reports know.

    Args:
        int8, floats: The reports of the two runs of `make bench-kernels`.
        profile: The output of the profile of the kernels, for their peak rate; empty if there is none.
    """
    return [
        *_speeds(int8, floats),
        *_ragged(int8),
        _of_registers(int8, profile),
        Row("int8, load time", _load_ms(int8, INT8), MOST_LOAD_MS, unit=" ms", at_most=True),
        Row("int8, peak memory", _peak_mb(int8, INT8), MOST_INT8_MB, unit=" MB", at_most=True),
        Row("fp32, peak memory", _peak_mb(floats, FLOAT), MOST_FLOAT_MB, unit=" MB", at_most=True),
        Row("fp16 by fp32, peak memory", _half_share(floats), MOST_HALF_SHARE, at_most=True),
    ]


def table(int8: Report, floats: Report, profile: str = "") -> str:
    """Returns the table as Markdown with the processor above it, and the counts below it, ending in a line break."""
    found, machine = rows(int8, floats, profile), int8.machine
    with_goal = [row for row in found if row.goal is not None]
    half = next((subject for subject in floats.subjects if subject.name == HALF), None)
    lines = [
        f"{machine.cpu} ({', '.join(machine.cpu_features)}), {machine.available_cores} cores; onnxruntime "
        f"{int8.software.onnxruntime}; {int8.date[:10]}; medians of one run of `make bench-kernels "
        f"BUDGET={int8.arguments.budget_s:g}`; speeds: times as fast, with the 95 % interval.",
        "",
        "| | measured | target | goal | reached |",
        "|---|---|---|---|---|",
        *map(str, found),
        "",
        f"{sum(row.reaches(row.target) for row in found)} of {len(found)} targets and "
        f"{sum(row.reaches(row.goal) for row in with_goal)} of {len(with_goal)} goals are reached.",
    ]
    if half is not None and not any("with the native kernels" in note for note in half.notes):
        lines.append("fp16 ran without the native kernels.")
    return "\n".join(lines) + "\n"


def _speeds(int8: Report, floats: Report) -> Iterator[Row]:
    for one in COMPARISONS:
        report = int8 if one.model == INT8 else floats
        for (tokens, threads), (target, goal) in zip(CELLS, one.targets, strict=True):
            title = f"{one.title}, {tokens} tokens, {threads_text(threads)}"
            yield _speed_row(title, _speed(report, one, tokens, threads), target, goal)


def _speed(report: Report, one: Comparison, tokens: int, threads: int) -> Ratio | None:
    """Returns the speed of a model relative to the other, of which one is the report's first."""
    for cell in report.cells:
        if (cell.seq_len, cell.threads) == (tokens, threads):
            speeds = {item.subject: item.speedup for item in cell.measurements}
            first = cell.measurements[0].subject
            if first == one.other:
                return speeds.get(one.model)
            return _inverse(speeds.get(one.other)) if first == one.model else None
    return None


def _ragged(int8: Report) -> Iterator[Row]:
    for cell in int8.ragged:
        results = {result.subject: result for result in cell.results}
        ours = results.get(INT8)
        cost = None if ours is None else ours.cost
        where = f"int8, batch of {cell.place}"
        interval = None if cost is None else (cost.low, cost.high)
        yield Row(
            f"{where}: by its texts one by one",
            None if cost is None else cost.median,
            RAGGED_COST,
            interval=interval,
            at_most=True,
        )
        speed = results[DYNAMIC].batch.speedup if DYNAMIC in results and cell.results[0] is ours else None
        yield _speed_row(f"{where}: over quantize_dynamic", _inverse(speed), RAGGED_SPEED)


def _of_registers(int8: Report, profile: str) -> Row:
    """Returns the time of a run of 128 tokens as a multiple of that of its multiply-accumulates in registers."""
    found = PEAK.search(profile)
    times = [
        item.median_ms
        for cell in int8.cells
        if (cell.seq_len, cell.threads) == (128, 1)
        for item in cell.measurements
        if item.subject == INT8
    ]
    value = times[0] * float(found[1]) / (GMACS * 1e3) if found and times else None
    rate = f" at {found[1]} GMAC/s" if found else ""
    title = f"int8, 128 tokens, 1 thread: by the time of {GMACS} GMAC in registers{rate}"
    return Row(title, value, MOST_OF_REGISTERS, GOAL_OF_REGISTERS, at_most=True)


def _load_ms(report: Report, name: str) -> float | None:
    return next((one.footprint.load_ms for one in report.subjects if one.name == name), None)


def _peak_mb(report: Report, name: str) -> float | None:
    return next((one.footprint.peak_bytes / 1e6 for one in report.subjects if one.name == name), None)


def _half_share(floats: Report) -> float | None:
    half, whole = _peak_mb(floats, HALF), _peak_mb(floats, FLOAT)
    return half / whole if half and whole else None


def _inverse(speed: Ratio | None) -> Ratio | None:
    """Returns the speed of the first model relative to this one."""
    return None if speed is None else Ratio(1 / speed.median, 1 / speed.high, 1 / speed.low, speed.significant)


def _speed_row(title: str, speed: Ratio | None, target: float, goal: float | None = None) -> Row:
    if speed is None:
        return Row(title, None, target, goal)
    return Row(title, speed.median, target, goal, (speed.low, speed.high))


def main(int8_path: str, floats_path: str, profile_path: str | None = None) -> None:
    """Prints the table.

    Raises SystemExit with one line if a file cannot be read.
    """
    try:
        profile = "" if profile_path is None else Path(profile_path).read_text(encoding="utf-8")
        int8, floats = read_report(int8_path), read_report(floats_path)
    except (PerfError, OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"kernel_targets: {error}; `make bench-kernels` writes the files") from None
    print(table(int8, floats, profile), end="")


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4:
        raise SystemExit("usage: kernel_targets.py INT8.json FLOATS.json [PROFILE.txt]")
    main(*sys.argv[1:])
