"""Printed table of a benchmark of throughput."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from perf.timing.texts.throughput import Throughput, ThroughputReport

TITLES = ("tokens per run", "workers", "texts/s", "tokens/s", "padding", "MB", "times as fast as the first")


def print_throughput(report: ThroughputReport, console: Console) -> None:
    """Prints the throughput of each configuration, and the share of each stage in its time."""
    host = report.machine
    console.print(
        f"{report.texts:,} texts of {report.source}, read, answered and written; {report.threads} thread(s) for each "
        f"worker; {host.cpu}, {report.date}; {len(report.rows[0].seconds)} passes over all texts, in turns",
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model")
    for title in TITLES:
        table.add_column(title, justify="right")
    for row in report.rows:
        table.add_row(*_cells(row))
    console.print(table)
    stages = Table(box=box.SIMPLE_HEAD, title="share of the time in each stage", title_justify="left")
    stages.add_column("model")
    for title in (*TITLES[:2], *report.rows[0].shares):
        stages.add_column(title, justify="right")
    for row in report.rows:
        stages.add_row(*_cells(row)[:3], *(f"{share:.1%}" for share in row.shares.values()))
    console.print(stages)
    notes = {row.configuration.model: row.notes for row in report.rows}
    for model, lines in notes.items():
        for line in lines:
            console.print(f"{model}: {line}", soft_wrap=True, markup=False)


def _cells(row: Throughput) -> tuple[str, ...]:
    half = max(row.high - row.texts_per_second, row.texts_per_second - row.low)
    fast = "" if row.speedup is None else f"{row.speedup.median:.2f} ({row.speedup.low:.2f}–{row.speedup.high:.2f})"
    return (
        row.configuration.model,
        f"{row.configuration.tokens_per_run:,}",
        str(row.configuration.workers),
        f"{row.texts_per_second:,.1f} ± {half:,.1f}",
        f"{row.tokens_per_second:,.0f}",
        f"{row.padding:.1%}",
        f"{row.memory_bytes / 1e6:,.0f}",
        fast,
    )
