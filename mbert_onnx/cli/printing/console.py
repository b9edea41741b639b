"""Consoles, tables and sizes that the printing modules share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mbert_onnx.cli.errors import without_control_characters

# Columns of a file or pipe.
PIPE_WIDTH = 110


class SafeConsole(Console):
    """A console that prints names and labels of files without control characters, and raises if a pipe is closed."""

    def render_str(self, text: str, **options: Any) -> Text:
        lines = (without_control_characters(line) for line in text.split("\n"))
        return super().render_str("\n".join(lines), **options)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would exit with 1; mbert_onnx.cli.errors knows that it is no error


def new_console() -> Console:
    """Returns a console as wide as the terminal; for a file or pipe, wide enough for the tables of `bench`."""
    console = SafeConsole(highlight=False, markup=False, soft_wrap=True)
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
