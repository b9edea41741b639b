"""Table of quality: each model's figure with its interval, beside its depth, size and times."""

from __future__ import annotations

from collections.abc import Sequence

from rich.filesize import decimal

from perf.presentation.formats import EMPTY, time_text
from perf.presentation.html.quality.figures import Quality
from perf.presentation.html.series import Series, lengths, thread_counts
from perf.presentation.html.tables import Table
from perf.results.report import Report, threads_text


def quality_table(reports: Sequence[Report], series: Sequence[Series], quality: Quality) -> Table:
    """Returns a row for each model with a figure, those that were not timed last."""
    cells = [(seq_len, threads) for threads in thread_counts(reports) for seq_len in lengths(reports)]
    timed = [item for item in series if item.subject.name in quality.figures]
    names = {item.subject.name for item in timed}
    headers = ["model", "layers", "file size", quality.metric, *(["difference"] if quality.differences else [])]
    headers += [f"ms, {seq_len} tokens, {threads_text(threads)}" for seq_len, threads in cells]
    rows = [[item.label, *_size(item), *_figures(quality, item.subject.name), *_times(item, cells)] for item in timed]
    rows += [
        [name, EMPTY, EMPTY, *_figures(quality, name), *(EMPTY for _ in cells)]
        for name in quality.figures
        if name not in names
    ]
    return Table(quality.source or quality.metric, headers, rows)


def _figures(quality: Quality, name: str) -> list[str]:
    return [quality.figures[name].text(), *([quality.difference_text(name)] if quality.differences else [])]


def _size(item: Series) -> tuple[str, str]:
    layers = item.subject.layers
    return EMPTY if layers is None else str(layers), decimal(item.subject.file.size_bytes)


def _times(item: Series, cells: Sequence[tuple[int, int]]) -> list[str]:
    found = {(cell.seq_len, cell.threads): measurement for cell, measurement in item.measured()}
    return [time_text(found[cell]) if cell in found else EMPTY for cell in cells]
