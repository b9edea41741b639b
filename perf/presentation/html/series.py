"""Series of the charts: each model of each report, with a unique label and the same look on every chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perf.results.report import Cell, Measurement, Report, SubjectReport

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Okabe and Ito's palette for colour-blind readers, with grey instead of its yellow, which is illegible on white."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Look:
    """Colour in CSS notation; marker and dash in matplotlib's."""

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
        """Yields its measurements, in the report's order."""
        for cell in self.report.cells:
            for item in cell.measurements:
                if item.subject == self.subject.name:
                    yield cell, item

    def at(self, threads: int) -> list[tuple[int, Measurement]]:
        """Returns length and measurement with this number of threads, shortest first."""
        found = [(cell.seq_len, item) for cell, item in self.measured() if cell.threads == threads]
        return sorted(found, key=lambda pair: pair[0])


def all_series(reports: Sequence[Report], names: Sequence[str]) -> list[Series]:
    """Returns every model of every report; `names` are those of the reports.

    The label is the model's name, followed by provider and device if these differ between reports, and by the report's
    name if it is still not unique.
    """
    places = [_place(report, reports) for report in reports]
    labelled = [
        (" · ".join((subject.name, *place)), name, report, subject)
        for report, name, place in zip(reports, names, places, strict=True)
        for subject in report.subjects
    ]
    counts = Counter(label for label, *_ in labelled)
    return [
        Series(label if counts[label] == 1 else f"{label} · {name}", report, subject, _look(index))
        for index, (label, name, report, subject) in enumerate(labelled)
    ]


def thread_counts(reports: Sequence[Report]) -> list[int]:
    """Returns the numbers of threads of all reports, ascending."""
    return sorted({cell.threads for report in reports for cell in report.cells})


def lengths(reports: Sequence[Report]) -> list[int]:
    """Returns the lengths of all reports in tokens, ascending."""
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
