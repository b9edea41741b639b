"""Tables of the page, with the same contents as in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import join

from rich.filesize import decimal

from perf.presentation.html.plots.roofline import Reached
from perf.presentation.ragged import ragged_headers, ragged_left_out, ragged_rows, ragged_title
from perf.presentation.table import file_headers, file_rows, notes, time_headers, time_row
from perf.results.report import Report, threads_text

TEXT_COLUMNS = ("model", "nodes", "precision", "bound by", "device")
"""Columns that are aligned left; numbers are aligned right."""


@dataclass(frozen=True)
class Table:
    """A table: caption, headers, rows of cells, and rows of failed models with the reason."""

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    failures: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()

    @property
    def is_text(self) -> list[bool]:
        """True if each column is aligned left."""
        return [header in TEXT_COLUMNS or header.startswith("against") for header in self.headers]


def time_tables(reports: Sequence[Report], names: Sequence[str]) -> list[Table]:
    """Returns a table for each report and number of threads; each lists the report's failed models."""
    return [
        Table(
            _caption(reports, name, threads_text(threads)),
            time_headers(report),
            [
                [str(cell.seq_len) if number == 0 else "", *time_row(item, report)]
                for cell in report.cells
                if cell.threads == threads
                for number, item in enumerate(cell.measurements)
            ],
            [(failure.name, failure.reason) for failure in report.failures],
        )
        for report, name in zip(reports, names, strict=True)
        for threads in dict.fromkeys([cell.threads for cell in report.cells] or report.arguments.threads[:1])
    ]


def ragged_tables(reports: Sequence[Report], names: Sequence[str]) -> list[Table]:
    """Returns a table of the ragged batch for each report that has one; it lists the models that are left out."""
    return [
        Table(
            _caption(reports, name, ragged_title(report)),
            ragged_headers(report),
            ragged_rows(report),
            ragged_left_out(report),
        )
        for report, name in zip(reports, names, strict=True)
        if report.ragged or ragged_left_out(report)
    ]


def file_tables(reports: Sequence[Report], names: Sequence[str]) -> list[Table]:
    """Returns a table of footprint and output differences for each report, with the notes to both kinds of tables."""
    return [
        Table(_caption(reports, name, "files"), file_headers(report), file_rows(report), notes=notes(report))
        for report, name in zip(reports, names, strict=True)
        if report.subjects
    ]


def share_table(points: Sequence[Reached], threads: Sequence[int]) -> Table:
    """Returns the table of each model's share of its roof."""
    headers = ("threads", "tokens", "model", "precision", "MAC/byte", "GMAC/s", "roof", "of the roof", "bound by")
    ordered = sorted(zip(threads, points, strict=True), key=lambda pair: (pair[0], pair[1].seq_len))
    rows: list[list[str]] = []
    shown: tuple[int, int] | None = None
    for count, point in ordered:
        place = (count, point.seq_len)
        rows.append(
            [
                *(("", "") if place == shown else map(str, place)),
                point.series.label,
                point.precision,
                f"{point.intensity:.3g}",
                f"{point.gmacs:.3g}",
                f"{point.roof:.3g}",
                f"{point.share:.0%}",
                point.bound,
            ]
        )
        shown = place
    return Table("share of the roof", headers, rows)


def closest(points: Sequence[Reached]) -> list[str]:
    """Returns a sentence for each model: its smallest and largest share of the roof, and why one is above 100 %."""
    models: dict[str, list[Reached]] = {}
    for point in points:
        models.setdefault(f"{point.series.label} ({point.precision})", []).append(point)
    sentences = []
    for label, found in models.items():
        least, most = (f"{choose(point.share for point in found):.0%}" for choose in (min, max))
        reasons = dict.fromkeys(point.why_above for point in found if point.why_above)
        above = f"; above 100 %: {', and '.join(reasons)}" if reasons else ""
        sentences.append(f"{label} reaches {least if len(found) == 1 else f'{least} to {most}'} of its roof{above}")
    return sentences


def warnings(reports: Sequence[Report], names: Sequence[str]) -> list[str]:
    """Returns all reports' warnings, failures and interruptions, with the report's name if there are several."""
    found = []
    for report, name in zip(reports, names, strict=True):
        prefix = f"{name}: " if len(reports) > 1 else ""
        if report.interrupted:
            found.append(
                f"{prefix}the benchmark was interrupted before all repetitions were done: its intervals are wide"
            )
        found += [f"{prefix}{warning}" for warning in report.warnings]
        failed = ", ".join(failure.name for failure in report.failures)
        if failed:
            found.append(f"{prefix}{failed} could not be timed; the table of times gives the reason")
    return found


def conditions(report: Report) -> list[tuple[str, str]]:
    """Returns machine, versions, date, arguments and command of a benchmark."""
    machine, software, asked = report.machine, report.software, report.arguments
    own = f"onnxruntime {software.onnxruntime}"
    runtimes = dict.fromkeys(item.runtime for item in report.subjects if item.runtime not in ("", own))
    threads, lengths = ", ".join(map(str, asked.threads)), ", ".join(map(str, asked.seq_lens))
    ragged = f"ragged batch {', '.join(map(str, asked.ragged))}; " if asked.ragged else ""
    rows = {
        "date": report.date,
        "processor": machine.cpu,
        "its features": ", ".join(machine.cpu_features),
        "cores": f"{machine.available_cores} of {machine.logical_cores or 'unknown'} usable",
        "memory": decimal(machine.memory_bytes),
        "system": f"{machine.os}, {machine.architecture}",
        "governor": machine.governor or "",
        "device": asked.device,
        "provider": asked.provider,
        "versions": f"{own} ({software.onnxruntime_build}), Python {software.python}, NumPy {software.numpy}",
        "other runtimes": ", ".join(runtimes),
        "arguments": f"batch {asked.batch}; lengths {lengths}; {ragged}threads {threads}; "
        f"precision ±{asked.precision:.1%}; budget {asked.budget_s:g} s for each cell; seed {asked.seed}; "
        f"ids below {asked.vocab_size}",
        "other programs": f"{report.other_cores:.2f} cores while the models were timed",
        "command": join(report.command),
    }
    return [(key, value) for key, value in rows.items() if value]


def _caption(reports: Sequence[Report], name: str, what: str) -> str:
    return f"{name}: {what}" if len(reports) > 1 else what
