"""Model files of other runtimes, which run on the CPU only: shared checks, and the `.json` that a converter writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perf.errors import PerfError, PerfUsageError, one_line
from perf.providers import CPU, Provider
from perf.sessions.inputs import DeclaredInput


def check_peer_file(path: Path, provider: Provider, runtime: str) -> None:
    """Checks that the file exists and the provider is the CPU.

    Raises:
        PerfUsageError: a provider other than the CPU.
        PerfError: no such file.
    """
    if provider != CPU:
        raise PerfUsageError(f"{path.name} runs in {runtime} on the CPU, not on {provider.name}: bench it apart")
    if not path.is_file():
        raise PerfError(f"no file {path}; expected a {path.suffix} model: check the path")


def read_conversion(path: Path) -> dict[str, Any]:
    """Reads the `.json` of our converter beside a file: names and operator counts that the file does not store.

    Raises PerfError where it is missing or broken.
    """
    file = path.with_suffix(".json")
    try:
        conversion: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PerfError(
            f"cannot read {file} ({one_line(error)}); expected the names of the inputs and outputs of {path.name}: "
            "convert the model again"
        ) from None
    return conversion


def named_inputs(conversion: Mapping[str, Any]) -> list[DeclaredInput]:
    """Returns the inputs in a converter's `.json`, with their types and shapes."""
    return [
        DeclaredInput(item["name"], f"tensor({item['type']})", tuple(item["shape"])) for item in conversion["inputs"]
    ]


def named_outputs(conversion: Mapping[str, Any]) -> list[DeclaredInput]:
    """Returns the outputs in a converter's `.json`, which has only their names."""
    return [DeclaredInput(name, "tensor(float)", ()) for name in conversion["outputs"]]
