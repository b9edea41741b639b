"""Tables of forecasts."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perf.providers.forecast.result import Forecast


def print_forecast(forecast: Forecast, console: Console) -> None:
    """Prints the totals, a row for each operator and reason of refused nodes, and the advice."""
    console.print(Text(headline(forecast)), soft_wrap=True)
    if forecast.left:
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("left to the CPU")
        table.add_column("nodes", justify="right")
        table.add_column("why", overflow="fold")
        table.add_column("such as", overflow="fold")
        for left in forecast.left:
            table.add_row(*map(Text, (left.operator, f"{left.count:,}", left.reason, left.example)))
        console.print(table)
    for line in forecast.advice:
        console.print(Text.assemble(("advice: ", "yellow"), line), soft_wrap=True)


def headline(forecast: Forecast) -> str:
    """Returns a line with the number of nodes, the partitions, and the source of the forecast."""
    parts = f" in {forecast.partitions:,} partition{'s' if forecast.partitions != 1 else ''}" if forecast.taken else ""
    verb = "takes" if forecast.asked else "would take"
    nodes = f"{forecast.taken_nodes:,} of {forecast.nodes:,} nodes"
    return f"{forecast.provider} {verb} {nodes}{parts}, says {forecast.source}"
