"""Table of the prefixes in docs/benchmarking.md: `python -m mbert_onnx.benchmark.models.table` writes it anew.

The page holds it between two markers; a test compares it with the registry.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mbert_onnx.benchmark.models.prefixes import PREFIXES, Prefix

PAGE = Path("docs/benchmarking.md")
BEGIN, END = "<!-- prefixes: begin -->", "<!-- prefixes: end -->"
HEAD = ("MODEL", "Description", "Runtime", "Packages")


def table() -> str:
    """Returns the Markdown table of all prefixes."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_row, PREFIXES)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def with_table(page: str) -> str:
    """Returns the text of a page with the current table between its markers.

    Raises ValueError for a page without the markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no markers {BEGIN} and {END}; put them where the table belongs")
    return f"{before}{BEGIN}\n{table()}{END}{after}"


def _row(row: Prefix) -> tuple[str, ...]:
    packages = []
    if row.needs:
        packages.append(f"needs `{'`, `'.join(row.needs)}`")
    if row.installs:
        packages.append(f"installs `{'`, `'.join(row.installs)}`")
    return f"`{row.usage}`", row.help, row.runtime or "MODEL's", "; ".join(packages) or "none"


def main(page: Path) -> None:
    """Writes the table into a page."""
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(*sys.argv[1:2]) if sys.argv[1:] else PAGE)
