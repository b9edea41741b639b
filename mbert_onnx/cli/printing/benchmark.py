"""Printed results of `bench` and `report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mbert_onnx.cli.printing.console import new_console

if TYPE_CHECKING:
    from perf.devices.emulated.report import EmulatedReport
    from perf.presentation.comparison import Comparison
    from perf.results.report import Report
    from perf.timing.texts.padding import TextsReport
    from perf.timing.texts.throughput import ThroughputReport


def print_bench(report: Report, markdown: bool) -> None:
    """Prints a report of `bench` as tables, or as Markdown."""
    from perf.presentation.table import print_report, to_markdown

    if markdown:
        print(to_markdown(report))
    else:
        print_report(report, new_console())


def print_bench_texts(report: TextsReport) -> None:
    """Prints a report of `bench --texts`."""
    from perf.timing.texts.padding import print_texts

    print_texts(report, new_console())


def print_bench_throughput(report: ThroughputReport) -> None:
    """Prints a report of `bench --throughput`."""
    from perf.presentation.throughput import print_throughput

    print_throughput(report, new_console())


def print_bench_emulated(report: EmulatedReport) -> None:
    """Prints a report of `bench --device emulated-arm64`."""
    from perf.devices.emulated.table import print_emulated

    print_emulated(report, new_console())


def print_comparison(comparison: Comparison) -> None:
    """Prints what `report --compare` found."""
    from perf.presentation import comparison as own

    own.print_comparison(comparison, new_console())
