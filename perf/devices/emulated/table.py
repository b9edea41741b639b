"""Prints the report of emulated processors: a table of instructions with one column per processor, and warnings."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perf.devices.emulated.report import Count, EmulatedReport

NOTE = (
    "Instructions are exact counts in millions, of one run after the first, with one thread. They ignore caches and "
    "latencies: they compare programs on one processor, and are not times. × is how many times fewer than the first "
    "model's. difference is the centred error of the outputs against this machine's for the same file, the largest "
    "over the processors."
)


def print_emulated(report: EmulatedReport, console: Console) -> None:
    """Prints the conditions, a table, and the warnings."""
    _line(
        console,
        f"aarch64 under qemu-user {report.emulator}, onnxruntime {report.onnxruntime}, batch {report.batch}; on "
        f"{report.machine.cpu}; {report.date}",
    )
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("tokens", justify="right")
    table.add_column("model", overflow="fold")
    for processor in report.processors:
        table.add_column(Text(f"{processor.instruction_set}\n{processor.model}"), justify="right")
    table.add_column("difference", justify="right")
    counts = {(count.seq_len, count.subject, count.processor): count for count in report.counts}
    lengths = sorted({count.seq_len for count in report.counts})
    for seq_len in lengths:
        names = [item.name for item in report.subjects if any(key[:2] == (seq_len, item.name) for key in counts)]
        for number, name in enumerate(names):
            kinds = [item.instruction_set for item in report.processors]
            found = [counts.get((seq_len, name, kind)) for kind in kinds]
            first = [counts.get((seq_len, report.subjects[0].name, kind)) for kind in kinds]
            cells = [_instructions(one, None if number == 0 else base) for one, base in zip(found, first, strict=True)]
            row = ["" if number else str(seq_len), name, *cells, _difference([one for one in found if one])]
            table.add_row(*map(Text, row), end_section=number == len(names) - 1)
    console.print(table)
    for failure in report.failures:
        _line(console, f"not run: {failure.name}: {failure.reason}")
    for subject in report.subjects:
        for note in subject.notes:
            _line(console, f"{subject.name}: {note}")
    _line(console, NOTE)
    for warning in report.warnings:
        console.print(Text.assemble(("warning: ", "yellow"), warning), soft_wrap=True)


def _instructions(count: Count | None, first: Count | None) -> str:
    if count is None or count.instructions is None:
        return "–"
    millions = f"{count.instructions / 1e6:,.1f}"
    if first is None or first.instructions is None:
        return millions
    return f"{millions} ({first.instructions / count.instructions:.2f}×)"


def _difference(found: list[Count]) -> str:
    differences = [count.difference for count in found if count.difference is not None]
    return f"{max(differences):.1g}" if differences else ""


def _line(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)
