"""Findings of a report, a sentence for each number of threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perf.presentation.warnings import LOST, non_finite_text
from perf.results.report import Cell, Measurement, Report, threads_text


@dataclass(frozen=True)
class Finding:
    """A sentence, and whether it is a headline: one that only reports unstable times is none."""

    text: str
    is_headline: bool = True


def findings(report: Report) -> list[Finding]:
    """Returns which model is the fastest at each length, and its speed relative to the first, where significant.

    Each value has its 95 % interval. Unstable times, whose interval is wider than requested, give no value. Models with
    the centred error of constant outputs or more are left out, and those whose outputs are NaN or infinite. For a
    single model, returns its times.
    """
    counts = dict.fromkeys(cell.threads for cell in report.cells)
    first = report.subjects[0]
    if first.non_finite:
        text = (
            f"{first.name} is not usable: {non_finite_text(first.non_finite)}; disregard its times and ratios to them."
        )
        return [Finding(text, is_headline=False)]
    sentence = _times if len(report.subjects) == 1 else _comparison
    return [sentence(report, [cell for cell in report.cells if cell.threads == threads]) for threads in counts]


def _times(report: Report, cells: Sequence[Cell]) -> Finding:
    first, intro = report.subjects[0].name, f"With {threads_text(cells[0].threads)}"
    stable = [cell for cell in cells if cell.measurements[0].stable]
    parts: list[str] = []
    for cell in stable:
        item, words = cell.measurements[0], "" if parts else "95 % interval "
        interval = f"{words}{item.low_ms:.3g}–{item.high_ms:.3g}"
        parts.append(f"{item.median_ms:.3g} ms ({interval}) at {cell.seq_len} tokens")
    left_out = _unstable(report, [cell.seq_len for cell in cells if cell not in stable])
    if not parts:
        return Finding(f"{intro}, {left_out}.", is_headline=False)
    return Finding(f"{intro}, {first} takes {'; '.join(filter(None, (_listed(parts), left_out)))}.")


def _comparison(report: Report, cells: Sequence[Cell]) -> Finding:
    first, intro = report.subjects[0].name, f"With {threads_text(cells[0].threads)}"
    if all(item.speedup is None for cell in cells for item in cell.measurements):
        return Finding(f"{intro}, models are not compared: too few repetitions were done.", is_headline=False)
    lost = {
        item.name for item in report.subjects if item.non_finite or (item.error is not None and not item.error < LOST)
    }
    won: dict[str, list[str]] = {}
    none: list[str] = []
    unstable: list[int] = []
    for cell in cells:
        best = min(_faster(cell, lost), key=lambda item: item.median_ms, default=None)
        if best is None or best.speedup is None:
            none.append(str(cell.seq_len))
            continue
        if not _is_certain(cell, best, lost):
            unstable.append(cell.seq_len)
            continue
        interval = f"{best.speedup.low:.2f}–{best.speedup.high:.2f}"
        where = won.setdefault(best.subject, [])
        where.append(
            f"{best.speedup.median:.2f} times as fast as {first} (95 % interval {interval}) at {cell.seq_len} tokens"
            if not where
            else f"{best.speedup.median:.2f} times ({interval}) at {cell.seq_len}"
        )
    parts = [f"{name} is the fastest: {_listed(where)}" for name, where in won.items()]
    if none:
        parts.append(f"no model is significantly faster than {first} at {_listed(none)} tokens")
    if unstable:
        parts.append(_unstable(report, unstable))
    return Finding(f"{intro}, {'; '.join(parts)}.", is_headline=bool(won or none))


def _faster(cell: Cell, lost: set[str]) -> Iterator[Measurement]:
    for item in cell.measurements:
        ratio = item.speedup
        if item.subject not in lost and ratio is not None and ratio.significant and ratio.median > 1:
            yield item


def _is_certain(cell: Cell, best: Measurement, lost: set[str]) -> bool:
    """Returns whether the times of the first and the fastest model are stable, and no unstable one may be faster."""
    others = (item for item in cell.measurements if item.subject not in lost)
    return cell.measurements[0].stable and all(item.stable or item.low_ms > best.high_ms for item in others)


def _unstable(report: Report, seq_lens: Sequence[int]) -> str:
    """Returns that the times at these lengths are unstable; empty for no length."""
    if not seq_lens:
        return ""
    lengths = _listed([str(length) for length in seq_lens])
    return f"at {lengths} tokens times are unstable (intervals wider than ±{report.arguments.precision:.1%})"


def _listed(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
