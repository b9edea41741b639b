"""What a chart draws: each model of each report, called by a name of its own, with one look on every chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perf.results.report import Cell, Measurement, Report, SubjectReport

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Okabe and Ito's, which the colour-blind can tell apart; a grey for their yellow, which vanishes on white."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Look:
    """Colour as CSS writes it; marker and dash as matplotlib does."""

    colour: str
    marker: str
    dash: str


@dataclass(frozen=True)
class Series:
    """One model of one report."""

    label: str
    report: Report
    subject: SubjectReport
    look: Look

    def measured(self) -> Iterator[tuple[Cell, Measurement]]:
        """Its measurements, in the report's order."""
        for cell in self.report.cells:
            for item in cell.measurements:
                if item.subject == self.subject.name:
                    yield cell, item

    def at(self, threads: int) -> list[tuple[int, Measurement]]:
        """Length and measurement with so many threads, shortest first."""
        found = [(cell.seq_len, item) for cell, item in self.measured() if cell.threads == threads]
        return sorted(found, key=lambda pair: pair[0])


def all_series(reports: Sequence[Report], names: Sequence[str]) -> list[Series]:
    """Every model of every report; `names` is what the reports are called.

    A model's name is enough where all ran alike; else its provider and device stand behind it, and where even they are
    the same, the report's name.
    """
    places = [_place(report, reports) for report in reports]
    told = [
        (" · ".join((subject.name, *place)), name, report, subject)
        for report, name, place in zip(reports, names, places, strict=True)
        for subject in report.subjects
    ]
    counts = Counter(label for label, *_ in told)
    return [
        Series(label if counts[label] == 1 else f"{label} · {name}", report, subject, _look(index))
        for index, (label, name, report, subject) in enumerate(told)
    ]


def thread_counts(reports: Sequence[Report]) -> list[int]:
    """All that any report has."""
    return sorted({cell.threads for report in reports for cell in report.cells})


def lengths(reports: Sequence[Report]) -> list[int]:
    """All that any report has, in tokens."""
    return sorted({cell.seq_len for report in reports for cell in report.cells})


def _place(report: Report, reports: Sequence[Report]) -> list[str]:
    place = []
    if len({other.arguments.provider for other in reports}) > 1:
        place.append(report.arguments.provider)
    if len({other.arguments.device for other in reports}) > 1:
        place.append(report.arguments.device)
    elif len({other.machine.cpu for other in reports}) > 1:
        place.append(report.machine.cpu)
    return place


def _look(index: int) -> Look:
    return Look(
        COLOURS[index % len(COLOURS)],
        MARKERS[index % len(MARKERS)],
        DASHES[index // len(COLOURS) % len(DASHES)],
    )
