"""Output of trainings, schedules and evaluations."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from mbert_onnx.cli.printing.console import PIPE_WIDTH, SafeConsole

if TYPE_CHECKING:
    from mbert_onnx.training.evaluation.result import Evaluation, Score
    from mbert_onnx.training.inputs.distillation.schedule import Schedule

# Smallest time between two progress lines in seconds, without a terminal.
LINE_EVERY = 10.0

# Most metrics that stand beside each other; more are a row each.
METRICS_IN_A_ROW = 2

# What has a score, where it is not a text.
UNITS = {"retrieval": "questions", "sts": "pairs"}

TrainingProgress = Callable[[str, int, int, dict[str, float]], None]


@contextmanager
def training_progress() -> Iterator[TrainingProgress]:
    """Yields a progress callback: a bar with losses on a terminal, else a line every ten seconds."""
    console = SafeConsole(stderr=True, highlight=False)
    since = time.perf_counter()
    if not console.is_terminal:
        last = [-LINE_EVERY]

        def line(name: str, step: int, steps: int, losses: dict[str, float]) -> None:
            now = time.perf_counter() - since
            if now - last[0] >= LINE_EVERY or step == steps:
                last[0] = now
                shown = f", {_losses(losses)}" if losses else ""
                print(f"[{now:7.1f} s] {name}: {step:,} of {steps:,}{shown}", file=sys.stderr, flush=True)

        yield line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )
    with Progress(*columns, console=console) as progress:
        bars = {}

        def bar(name: str, step: int, steps: int, losses: dict[str, float]) -> None:
            if name not in bars:
                bars[name] = progress.add_task(escape(name), total=steps, losses="")
            progress.update(bars[name], completed=step, losses=_losses(losses))

        yield bar


def _losses(losses: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in losses.items())


def print_schedule(schedule: Schedule) -> None:
    """Prints what is compared, and the loss, steps and numbers of parameters of each stage."""
    console = _console()
    if schedule.facts:
        facts = Table.grid(padding=(0, 2))
        for name, fact in schedule.facts:
            facts.add_row(name, escape(fact))
        console.print(facts)
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("stage", "loss"):
        table.add_column(title)
    for title in ("steps", "learning rate", "trained", "at lower rate", "frozen"):
        table.add_column(title, justify="right")
    for one in schedule.stages:
        stage = one.stage
        slowly = f"{one.slowly:,} at {stage.lower_rate:g}×" if one.slowly else "–"
        table.add_row(
            stage.name,
            one.loss,
            f"{stage.steps:,}",
            f"{one.learning_rate:g}",
            f"{one.trained:,}",
            slowly,
            f"{one.kept:,}",
        )
    console.print(table)
    total = sum(one.stage.steps for one in schedule.stages)
    stages = f"{len(schedule.stages)} stage{'s' if len(schedule.stages) > 1 else ''}"
    copied = " Embeddings and heads are copied from the teacher." if schedule.copies else ""
    console.print(f"{stages}, {total:,} steps. The last three columns count parameters.{copied}")
    for note in schedule.notes:
        console.print(note)


def print_evaluations(found: Sequence[Evaluation]) -> None:
    """Prints a table for each set of texts, and the paper's scores below it if it reports any."""
    console = _console()
    for one in found:
        unit = UNITS.get(one.task, "texts")
        console.print(f"{one.task}, {one.split} of {one.data}: {one.texts:,} {unit}", markup=False)
        console.print(_standings(one))
        if one.paper:
            what = "development set" if one.task.startswith("squad") else "test set, by GLUE's server"
            scores = "; ".join(f"{model} {' / '.join(f'{v:g}' for v in values)}" for model, values in one.paper.items())
            console.print(f"the paper ({what}): {scores}", markup=False, soft_wrap=True)
        for note in one.notes:
            console.print(f"note  {note}", markup=False, soft_wrap=True)
        console.print(
            f"95 % intervals over texts in brackets; ms: time per text, one at a time, {one.threads} thread"
            f"{'s' if one.threads > 1 else ''} of {one.machine}, {one.date}",
            markup=False,
            soft_wrap=True,
        )


def _standings(one: Evaluation) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", overflow="fold")  # not cropped, since names often differ at the end
    metrics = list(one.standings[0].scores)
    several = len(one.standings) > 1
    in_rows = len(metrics) > METRICS_IN_A_ROW
    if in_rows:
        table.add_column("metric")
    for metric in ["score"] if in_rows else metrics:
        table.add_column(metric.replace("_", " "), justify="right")
        if several:
            table.add_column("difference", justify="right")
    cosines = any(standing.cosine is not None for standing in one.standings)
    for title, shown in {"agreement": several, "cosine": cosines, "ms": True}.items():
        if shown:
            table.add_column(title, justify="right")
    for standing in one.standings:
        half = max(standing.ms_high - standing.ms, standing.ms - standing.ms_low)
        end = [
            *([_optional(standing.agreement, ".2%")] if several else []),
            *([_optional(standing.cosine, ".4f")] if cosines else []),
            f"{standing.ms:.2f} ± {half:.2f}",
        ]
        cells = [
            [
                _percentage(standing.scores[metric]),
                *([_difference(standing.differences.get(metric))] if several else []),
            ]
            for metric in metrics
        ]
        if not in_rows:
            table.add_row(escape(standing.model), *chain.from_iterable(cells), *end)
            continue
        for number, (metric, row) in enumerate(zip(metrics, cells, strict=True)):
            name = "" if number else escape(standing.model)
            table.add_row(name, metric, *row, *([] if number else end), end_section=number + 1 == len(metrics))
    return table


def _optional(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _difference(score: Score | None) -> str:
    return "" if score is None else _percentage(score, signed=True)


def _percentage(score: Score, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    value = f"{100 * score.value:{sign}.2f}"
    if score.low is None or score.high is None:
        return value
    return f"{value} ({100 * score.low:{sign}.2f} to {100 * score.high:{sign}.2f})"


def _console() -> SafeConsole:
    console = SafeConsole(highlight=False)
    return console if console.is_terminal else SafeConsole(highlight=False, width=PIPE_WIDTH + 40)
