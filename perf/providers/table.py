"""Terminal table of providers and their availability."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perf.providers import Needs, Standing


def print_standings(standings: Sequence[Standing], console: Console) -> None:
    """Prints a row for each provider, then for each unusable one the reason and how to get it."""
    table = Table(box=box.SIMPLE_HEAD)
    for header in ("provider", "here", "runs on", "wants", "package"):
        table.add_column(header, overflow="fold")
    for item in standings:
        provider = item.provider
        table.add_row(
            *map(Text, (provider.name, _here(item), provider.runs_on, _wants(provider.needs), provider.package))
        )
    console.print(table)
    for item in standings:
        if not item.usable:
            console.print(Text(f"{item.provider.name}: {item.why_not}"), soft_wrap=True)


def _here(item: Standing) -> str:
    if not item.usable:
        return "no"
    if item.elsewhere:
        return "yes, in an environment of its own"
    return f"yes, as {item.imitation}" if item.imitation else "yes"


def _wants(needs: Needs) -> str:
    if not needs.precisions:
        return "no MobileBERT"
    shapes = ", fixed shapes" if needs.fixed_shapes else ""
    return f"{', '.join(needs.precisions)}; {needs.inputs} ids{shapes}"
