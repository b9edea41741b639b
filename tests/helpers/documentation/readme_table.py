"""The table of README.md, from a report of `make bench-readme`.

`python tests/helpers/documentation/readme_table.py build/readme.json [README.md]` prints the table as Markdown; with a
page, it replaces what is between the page's two `measured` comments.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

from mbert_onnx import read_report
from perf.results.report import Report

# The subjects of `make bench-readme`, in the order of the table's rows.
ROWS = {
    "native:int8:random": "**mbert-onnx int8**, native kernels",
    "portable:int8:random": "mbert-onnx int8, plain onnxruntime",
    "ort-dynamic:transformers:random": "onnxruntime `quantize_dynamic`",
    "litert-int8:random": "LiteRT dynamic int8",
    "native:random": "**mbert-onnx float32**, native kernels",
    "portable:random": "mbert-onnx float32, plain onnxruntime",
    "transformers:random": "transformers' export in onnxruntime",
    "litert:random": "LiteRT float32",
}
COLUMNS = ((8, 1), (32, 1), (128, 1), (384, 1), (8, 2), (32, 2), (128, 2), (384, 2))
"""Tokens and threads of each column."""

MARKED = re.compile(r"(<!-- measured: begin -->\n).*?(<!-- measured: end -->)", re.DOTALL)


def table(report: Report) -> str:
    """Returns the table and the sentence above it as Markdown, ending in a line break."""
    medians = {
        (item.subject, cell.seq_len, cell.threads): _with_interval(item.median_ms, item.low_ms, item.high_ms)
        for cell in report.cells
        for item in cell.measurements
    }
    errors = {subject.name: subject.error for subject in report.subjects}
    arguments, machine = report.arguments, report.machine
    lines = [
        "Median ms for one text ± its 95 % interval, full-size MobileBERT with random weights; "
        f"{machine.cpu} ({', '.join(machine.cpu_features)}), onnxruntime {report.software.onnxruntime}, "
        f"{report.date[:10]}, all in turns in one run of `make bench-readme BUDGET={arguments.budget_s:g}`. Columns: "
        "tokens, threads. *Error*: centred error of int8 outputs against the float model.",
        "",
        "| | " + " | ".join(f"{tokens}, {threads}" for tokens, threads in COLUMNS) + " | error |",
        "|---" * (len(COLUMNS) + 2) + "|",
    ]
    for name, label in ROWS.items():
        error = errors.get(name)
        cells = [medians.get((name, *column), "–") for column in COLUMNS]
        lines.append(f"| {label} | {' | '.join(cells)} | {'' if error is None else f'{error:.2g}'} |")
    return "\n".join(lines) + "\n"


def _with_interval(median: float, low: float, high: float) -> str:
    """Returns the median ± the longer side of its interval, as `bench` does, with three digits of the median."""
    decimals = max(0, 2 - math.floor(math.log10(median)))
    return f"{median:.{decimals}f} ± {max(high - median, median - low):.{decimals}f}"


def main(report_path: str, page_path: str | None = None) -> None:
    """Prints the table, or writes it into a page."""
    text = table(read_report(report_path))
    if page_path is None:
        print(text, end="")
        return
    page = Path(page_path)
    page.write_text(MARKED.sub(lambda match: match[1] + text + match[2], page.read_text(encoding="utf-8")), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
