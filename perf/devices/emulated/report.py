"""What an emulated machine found, as plain data, and its JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perf.machine.machine import Machine, Software
from perf.results.file_writer import write_json
from perf.results.model_file import ModelFile
from perf.results.report import Failure

SCHEMA = "mbert-onnx/emulated"
SCHEMA_VERSION = 1
"""Grows when a key changes its meaning or goes away; new keys do not count."""


@dataclass(frozen=True)
class EmulatedProcessor:
    """What was emulated: an instruction set, and qemu's name of a processor that has it."""

    instruction_set: str
    model: str


@dataclass(frozen=True)
class EmulatedSubject:
    """A model: called as the user called it, its file, whether it ran with the native kernels, and how it was made."""

    name: str
    file: ModelFile
    has_kernels: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Count:
    """One model at one length, in tokens, on one processor.

    `instructions` are those of a run that is not the first; None where the emulator counts none. `difference` is the
    centred error of its outputs from this machine's for the same file; None where it has none of floating point; an
    infinite one is the text "inf" in JSON.
    """

    subject: str
    seq_len: int
    processor: str
    instructions: int | None
    difference: float | None


@dataclass(frozen=True)
class EmulatedReport:
    """All of it: the conditions, the models in the order given, the counts, and what to doubt. There are no times.

    `machine` and `software` are this machine's; `emulator` is qemu's version, `onnxruntime` that of the emulated
    library. `failures` are models that did not run, and why; `interrupted` says that it was ended early; `command`
    are the words of the command line, if there was one.
    """

    date: str
    machine: Machine
    software: Software
    emulator: str
    onnxruntime: str
    batch: int
    seed: int
    vocab_size: int
    processors: tuple[EmulatedProcessor, ...]
    subjects: tuple[EmulatedSubject, ...]
    counts: tuple[Count, ...]
    warnings: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    interrupted: bool = False
    command: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dict that `json` can write: the schema's name and version, then every field."""
        told = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(self)}
        for count in told["counts"]:
            if count["difference"] == math.inf:  # JSON has no infinity
                count["difference"] = "inf"
        return told

    def write_json(self, path: Path) -> None:
        """Writes it as a file. Raises PerfError where it cannot be written."""
        write_json(path, self.to_json())
