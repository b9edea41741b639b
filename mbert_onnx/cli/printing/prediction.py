"""Progress bar and report of `predict`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from mbert_onnx.cli.errors import print_line, printable
from mbert_onnx.cli.printing.console import SafeConsole, new_console

if TYPE_CHECKING:
    from mbert_onnx.prediction.report import PredictionReport, Progress

# Seconds between two lines of progress where standard error is no terminal.
LINE_SECONDS = 30.0

Reports = tuple[Callable[["Progress"], None], Callable[[str], None]]


@contextmanager
def prediction_progress() -> Iterator[Reports]:
    """Yields the callbacks of `predict`: a progress bar on a terminal, otherwise a line every half a minute."""
    console = SafeConsole(stderr=True, highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        yield _lines()
        return
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task("loading the model", total=1.0)
        yield (
            lambda state: bar.update(task, completed=state.share, description=progress_text(state)),
            lambda line: console.print(printable(line)),
        )


def _lines() -> Reports:
    last = time.monotonic()

    def report(state: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            print(f"{state.share:4.0%}  {progress_text(state)}", file=sys.stderr, flush=True)

    return report, print_line


def progress_text(state: Progress) -> str:
    """Formats the progress: `12,288 rows, 1,540 texts/s, 38,500 tokens/s, 0:01:20 left`."""
    parts = [f"{state.rows:,} rows"]
    if state.bad:
        parts.append(f"{state.bad:,} of them bad")
    if state.seconds > 0:
        parts.append(f"{(state.rows - state.done_before) / state.seconds:,.0f} texts/s")
        if state.tokens:
            parts.append(f"{state.tokens / state.seconds:,.0f} tokens/s")
    if state.remaining is not None:
        parts.append(f"{timedelta(seconds=round(state.remaining))} left")
    return ", ".join(parts)


def print_prediction(report: PredictionReport) -> None:
    """Prints the output, how many rows it has, and what could not be processed."""
    console = new_console()
    done = report.rows + report.bad - report.done_before
    speed = f", {done / report.seconds:,.0f} a second" if done and report.seconds > 0 else ""
    console.print(f"{report.output}  {_count(report.rows, 'row')} in {report.seconds:.1f} s{speed}")
    if report.done_before:
        console.print(f"  continued  after {_count(report.done_before, 'row')} of earlier runs")
    if report.truncated:
        console.print(f"  truncated  {_count(report.truncated, 'text')}, longer than the model reads")
    if report.bad:
        console.print(f"  bad        {_count(report.bad, 'row')} could not be processed: {report.errors}")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
