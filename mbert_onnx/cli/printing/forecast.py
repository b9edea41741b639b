"""What `doctor --provider` found, for a person."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from mbert_onnx.diagnosis.provider_forecast import ProviderDiagnosis
from perf.providers.forecast.table import headline, print_forecast


def print_diagnoses(found: Sequence[ProviderDiagnosis], console: Console) -> None:
    """For each provider its forecast, a line for each other file that it could be given, and the notes."""
    for number, one in enumerate(found):
        if number:
            console.print()
        if one.how:
            console.print(Text(f"{one.model}, as {one.how} makes it:"), soft_wrap=True)
        print_forecast(one.forecast, console)
        for other in one.alternatives:
            console.print(Text.assemble((f"{other.how}: ", "cyan"), headline(other.forecast)), soft_wrap=True)
        for note in one.notes:
            console.print(Text.assemble(("note: ", "yellow"), note), soft_wrap=True)
