"""Tables of the depth curve: layers, latency and quality of each shortened model.

    python -m examples.experiments.depth.table FOLDER [PAGE.md]

FOLDER has `TASK-speed.json` of `bench` and `TASK-quality.json` of `evaluate`, with sentiment and embed for TASK. The
tables are printed; with a page, they replace what is between its two `depth-curve` comments. The pictures that
`report --plot` has drawn are expected beside the page.
"""

from __future__ import annotations

import sys
from pathlib import Path

from examples.experiments.marked_page import write_between_marks
from mbert_onnx import read_report
from perf.errors import PerfError
from perf.presentation.formats import time_text
from perf.presentation.html import Quality, read_quality
from perf.results.report import Report

# Title, and metrics that are shown, of each task.
TASKS = {
    "sentiment": ("`reference` (sentiment)", ("accuracy",)),
    "embed": ("`reference:embed` (sentence embeddings)", ("recall@1", "recall@10")),
}


def tables(folder: Path) -> str:
    """Returns a table for each task, as Markdown ending in a line break."""
    return "\n".join(_table(folder, task) for task in TASKS)


def _table(folder: Path, task: str) -> str:
    title, metrics = TASKS[task]
    report = read_report(folder / f"{task}-speed.json")
    names = [subject.name for subject in report.subjects]
    qualities = read_quality(folder / f"{task}-quality.json", names, metrics)
    lengths = [f"ms, {cell.seq_len} tokens" for cell in report.cells]
    figures = [text for quality in qualities for text in (quality.metric, "difference")]
    header = ["layers", "MB", *lengths, *figures]
    return "\n".join(
        [
            f"**{title}**, int8 with the native kernels, 1 thread: {report.machine.cpu}, onnxruntime "
            f"{report.software.onnxruntime}, {report.date[:10]}; {qualities[0].source}.",
            "",
            f"| {' | '.join(header)} |",
            "|---" * len(header) + "|",
            *(f"| {' | '.join(_row(report, qualities, number))} |" for number in range(len(names))),
            "",
            f"![Quality of {title} against latency, depth and size](depth-{task}.svg)",
            "",
        ]
    )


def _row(report: Report, qualities: list[Quality], number: int) -> list[str]:
    """Returns the cells of one model; those that are not the first layers are named by the numbers in its name."""
    subject = report.subjects[number]
    layers, kept = str(subject.layers or ""), subject.name.rsplit("-", 1)[-1]
    row = [f"{layers} (number {kept.replace('+', ', ')} from 0)" if "+" in kept else layers]
    row.append(f"{subject.file.size_bytes / 1e6:.1f}")
    row += [time_text(cell.measurements[number]) for cell in report.cells]
    for quality in qualities:
        row += [quality.figures[subject.name].text(), quality.difference_text(subject.name)]
    return row


if __name__ == "__main__":
    try:
        found = tables(Path(sys.argv[1]))
        print(found, end="")
        if len(sys.argv) > 2:
            write_between_marks(Path(sys.argv[2]), "depth-curve", found)
    except (OSError, ValueError, PerfError) as error:
        sys.exit(f"table: {error}")
