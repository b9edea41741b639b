"""Files in the formats of other runtimes, which run on the CPU alone: what is checked of all of them alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perf.errors import PerfError, PerfUsageError, one_line
from perf.providers import CPU, Provider
from perf.sessions.inputs import DeclaredInput


def check_peer_file(path: Path, provider: Provider, runtime: str) -> None:
    """Whether there is a file, and it is to run where it can.

    Raises:
        PerfUsageError: another provider than the CPU is asked for.
        PerfError: no such file.
    """
    if provider != CPU:
        raise PerfUsageError(f"{path.name} runs in {runtime} on the CPU, not on {provider.name}: bench it apart")
    if not path.is_file():
        raise PerfError(f"no file {path}; expected a {path.suffix} model: check the path")


def told_beside(path: Path) -> dict[str, Any]:
    """What a converter of ours wrote beside a file, because its format has no place for it: names, mostly.

    Raises PerfError where that is missing or broken.
    """
    names = path.with_suffix(".json")
    try:
        told: dict[str, Any] = json.loads(names.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PerfError(
            f"cannot read {names} ({one_line(error)}); expected the names of the inputs and outputs of {path.name}: "
            "convert the model again"
        ) from None
    return told


def told_inputs(told: Mapping[str, Any]) -> list[DeclaredInput]:
    """The inputs that a converter wrote with their types and shapes."""
    return [DeclaredInput(item["name"], f"tensor({item['type']})", tuple(item["shape"])) for item in told["inputs"]]


def told_outputs(told: Mapping[str, Any]) -> list[DeclaredInput]:
    """The outputs, of which it wrote the names."""
    return [DeclaredInput(name, "tensor(float)", ()) for name in told["outputs"]]
