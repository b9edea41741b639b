"""Consoles, tables and sizes that the printing modules share."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

# Columns of a file or pipe.
PIPE_WIDTH = 110


def new_console() -> Console:
    """Returns a console as wide as the terminal; for a file or pipe, wide enough for the tables of `bench`."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    return console


def new_table(titles: Sequence[str], right: Sequence[int]) -> Table:
    """Returns an empty table without a frame.

    Args:
        titles: The columns' titles.
        right: Indices of the columns that are aligned right; the columns after the last of them may wrap.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number in right else "left", no_wrap=number <= max(right))
    return table


def megabytes(size: int) -> str:
    """Formats bytes: `61.7 MB`."""
    return f"{size / 1e6:.1f} MB"
