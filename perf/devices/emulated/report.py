"""The report of a benchmark on emulated processors: plain data, and its JSON."""

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
"""Incremented when a key changes its meaning or is removed, not when a key is added."""


@dataclass(frozen=True)
class EmulatedProcessor:
    """An emulated processor: its instruction set, and the value of qemu's `-cpu`."""

    instruction_set: str
    model: str


@dataclass(frozen=True)
class EmulatedSubject:
    """A model: its name on the command line, its file, whether it ran with the native kernels, and notes on it."""

    name: str
    file: ModelFile
    has_kernels: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Count:
    """The result of one model at one length, in tokens, on one processor.

    `instructions` are those of a run after the first; None where the emulator does not count. `difference` is the
    centred error of its outputs from this machine's for the same file; None where it has none of floating point; an
    infinite one is the text "inf" in JSON. `non_finite` are the names of outputs that are NaN or infinite there.
    """

    subject: str
    seq_len: int
    processor: str
    instructions: int | None
    difference: float | None
    non_finite: tuple[str, ...] = ()


@dataclass(frozen=True)
class EmulatedReport:
    """The whole report: the conditions, the models in the order given, the counts, and the warnings. It has no times.

    `machine` and `software` describe this machine; `emulator` is qemu's version, `onnxruntime` the version of the
    emulated library. `failures` are the models that did not run, with reasons; `interrupted`: a KeyboardInterrupt ended
    it early; `command`: the words of the command line, if any.
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

    @property
    def broken(self) -> tuple[str, ...]:
        """The models with outputs that are NaN or infinite."""
        return tuple(dict.fromkeys(count.subject for count in self.counts if count.non_finite))

    def to_json(self) -> dict[str, Any]:
        """Returns a dict for `json`: the schema's name and version, then every field."""
        document = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(self)}
        for count in document["counts"]:
            if count["difference"] == math.inf:  # JSON has no infinity
                count["difference"] = "inf"
        return document

    def write_json(self, path: Path) -> None:
        """Writes the JSON file. Raises PerfError where it cannot be written."""
        write_json(path, self.to_json())
