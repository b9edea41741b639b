"""Progress of a command, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mbert_onnx.cli.errors import printable

Progress = Callable[[str], None]
# Name of the stage, steps done, steps of the stage, losses.
TrainingProgress = Callable[[str, int, int, dict[str, float]], None]


@contextmanager
def progress() -> Iterator[Progress]:
    """Yields a progress callback: on a terminal a spinner with the elapsed time, otherwise a line for each stage."""
    from rich.markup import escape

    from mbert_onnx.cli.printing.console import SafeConsole

    console = SafeConsole(stderr=True, highlight=False)
    since = time.perf_counter()
    if not console.is_terminal:
        yield lambda line: print(
            f"[{time.perf_counter() - since:5.1f} s] {printable(line)}", file=sys.stderr, flush=True
        )
        return
    with console.status("starting") as status:
        current: list[str] = []

        def report(line: str) -> None:
            if current:
                console.print(f"[dim]{time.perf_counter() - since:5.1f} s[/dim]  {current.pop()}", markup=True)
            shown = escape(printable(line))  # a file name, or a line from another machine, may contain markup
            current.append(shown)
            status.update(shown)

        yield report


@contextmanager
def training_progress() -> Iterator[TrainingProgress]:
    """Yields the progress callback of a training; see `mbert_onnx.cli.printing.training`, loaded on the first call."""
    from mbert_onnx.cli.printing import training

    with training.training_progress() as report:
        yield report
