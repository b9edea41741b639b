"""Findings of a report, a sentence for each number of threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perf.presentation.warnings import LOST
from perf.results.report import Cell, Measurement, Report, threads_text


def findings(report: Report) -> list[str]:
    """Returns which model is the fastest at each length, and its speed relative to the first, where significant.

    Models with the centred error of constant outputs or more are left out. For a single model, returns its times.
    """
    counts = dict.fromkeys(cell.threads for cell in report.cells)
    return [_sentence(report, [cell for cell in report.cells if cell.threads == threads]) for threads in counts]


def _sentence(report: Report, cells: Sequence[Cell]) -> str:
    first, intro = report.subjects[0].name, f"With {threads_text(cells[0].threads)}"
    if len(report.subjects) == 1:
        parts = [f"{cell.measurements[0].median_ms:.3g} ms at {cell.seq_len} tokens" for cell in cells]
        return f"{intro}, {first} takes {_listed(parts)}."
    if all(item.speedup is None for cell in cells for item in cell.measurements):
        return f"{intro}, models are not compared: too few repetitions were done."
    lost = {item.name for item in report.subjects if item.error is not None and not item.error < LOST}
    won: dict[str, list[str]] = {}
    none: list[str] = []
    for cell in cells:
        best = min(_faster(cell, lost), key=lambda item: item.median_ms, default=None)
        if best is None or best.speedup is None:
            none.append(str(cell.seq_len))
            continue
        where = won.setdefault(best.subject, [])
        where.append(
            f"{best.speedup.median:.2f} times as fast as {first} at {cell.seq_len} tokens"
            if not where
            else f"{best.speedup.median:.2f} times at {cell.seq_len}"
        )
    parts = [f"{name} is the fastest: {_listed(where)}" for name, where in won.items()]
    if none:
        parts.append(f"no model is significantly faster than {first} at {_listed(none)} tokens")
    return f"{intro}, {'; '.join(parts)}."


def _faster(cell: Cell, lost: set[str]) -> Iterator[Measurement]:
    for item in cell.measurements:
        ratio = item.speedup
        if item.subject not in lost and ratio is not None and ratio.significant and ratio.median > 1:
            yield item


def _listed(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
