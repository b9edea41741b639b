"""Report of a benchmark, as plain data, and its JSON form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from perf.machine.footprint import Footprint
from perf.machine.machine import Machine, Software
from perf.machine.node_profile import BlockTimes
from perf.machine.peaks import Peaks
from perf.results.file_writer import write_json
from perf.results.model_file import ModelFile
from perf.sessions.session import Placement
from perf.statistics import Ratio

SCHEMA = "mbert-onnx/bench"
SCHEMA_VERSION = 1
"""Increased when a key changes its meaning or is removed, not when one is added."""

SPEED_CHECK_KEY = "guard_ms"
"""The JSON key of `Report.speed_check_ms`, its name when the schema was defined."""


@dataclass(frozen=True)
class Arguments:
    """Options of the benchmark, defaults filled in.

    `precision` is a share of the median, `budget_s` seconds per cell, and `device` the value of `--device`. `ragged`
    has the lengths of the texts of the ragged batch; empty without one.
    """

    provider: str
    seq_lens: tuple[int, ...]
    batch: int
    threads: tuple[int, ...]
    precision: float
    budget_s: float
    seed: int
    vocab_size: int
    device: str = "local"
    ragged: tuple[int, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A model that could not be timed, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class SubjectReport:
    """One model: its name as given, its file, its footprint, and the placement of its nodes.

    Args:
        difference: Centred error of the outputs from the first model's, at the shortest length. None for the first, if
            the two share no output, and if the first model has an `error`.
        error: Centred error of the outputs from those of the float model that the file was built from; None if that
            is not known. An infinite error is the text "inf" in JSON.
        runtime: The runtime that ran it, with its version.
        notes: How the file was built, a line each.
        cpu_difference: Centred error of the provider's outputs from the CPU's for the same file; None on the CPU.
        precision: Of the matrix products, `float32`, `fp16` or `int8`; empty if not known.
        macs: Multiply-accumulates of a run, by length.
        blocks: Time by kind of block.
        padded_difference: `difference` on texts half of which are padding.
        non_finite: The lengths at which an output is NaN or infinite, by its name: then the times are no valid result.
        layers: Number of layers, as its config says; None if it is not known.
    """

    name: str
    file: ModelFile
    footprint: Footprint
    placement: Placement
    difference: float | None = None
    error: float | None = None
    runtime: str = ""
    notes: tuple[str, ...] = ()
    cpu_difference: float | None = None
    precision: str = ""
    macs: dict[int, int] = field(default_factory=dict)
    blocks: tuple[BlockTimes, ...] = ()
    padded_difference: float | None = None
    non_finite: dict[str, tuple[int, ...]] = field(default_factory=dict)
    layers: int | None = None


@dataclass(frozen=True)
class Measurement:
    """One model in one cell.

    Times are in ms; tokens per second are computed from the median; `low_ms` to `high_ms` is its 95 % interval.
    `stable`: the interval is as narrow as requested. `unsteady_repetitions`: number of repetitions in which times still
    changed when warm-up ended. `speedup`: speed relative to the first model, from the ratios of the rounds; None for
    the first. `times_ms`: all runs, in order.
    """

    subject: str
    median_ms: float
    low_ms: float
    high_ms: float
    p90_ms: float
    p99_ms: float
    tokens_per_second: float
    runs: int
    stable: bool
    unsteady_repetitions: int
    speedup: Ratio | None
    times_ms: tuple[float, ...]

    @property
    def half_width_ms(self) -> float:
        """The longer side of the interval."""
        return max(self.high_ms - self.median_ms, self.median_ms - self.low_ms)

    @property
    def relative_half_width(self) -> float:
        """The longer side of the interval, as a share of the median."""
        return self.half_width_ms / self.median_ms


@dataclass(frozen=True)
class Cell:
    """All models at one length and thread count.

    The n-th times of all models are of the same round; `rounds` is the number of rounds of each repetition. `repeated`:
    how many repetitions were discarded and repeated because they were disturbed, by cause. `disturbed`: how many of
    those that count are disturbed, by cause.
    """

    seq_len: int
    threads: int
    rounds: tuple[int, ...]
    measurements: tuple[Measurement, ...]
    repeated: dict[str, int] = field(default_factory=dict)
    disturbed: dict[str, int] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The cell in words: "128 tokens, 1 thread"."""
        return f"{self.seq_len} tokens, {threads_text(self.threads)}"


@dataclass(frozen=True)
class RaggedResult:
    """One model on texts of different lengths: in one batch, and one by one at their own lengths in the same session.

    Args:
        subject: The model's name.
        batch: The time of the batch, padded to the longest text; its speedup is that over the batch of the first model
            of the cell.
        one_by_one: The sum of the times of its texts; its speedup is that over the sum of that model. In both, tokens
            per second are those of the texts, without padding.
        cost: The time of the batch divided by that sum, from the quotients of the rounds; None for too few repetitions.
    """

    subject: str
    batch: Measurement
    one_by_one: Measurement
    cost: Ratio | None


@dataclass(frozen=True)
class RaggedCell:
    """All models that take a ragged batch at one thread count; `lengths` are those of its texts in tokens.

    The other fields are those of `Cell`.
    """

    lengths: tuple[int, ...]
    threads: int
    rounds: tuple[int, ...]
    results: tuple[RaggedResult, ...]
    repeated: dict[str, int] = field(default_factory=dict)
    disturbed: dict[str, int] = field(default_factory=dict)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """All measurements of all models."""
        return tuple(item for result in self.results for item in (result.batch, result.one_by_one))

    @property
    def place(self) -> str:
        """The cell in words: "8 texts of 16 to 128 tokens, 1 thread"."""
        return f"{ragged_text(self.lengths)}, {threads_text(self.threads)}"


AnyCell = Cell | RaggedCell


@dataclass(frozen=True)
class RaggedModel:
    """Outputs of one model on the ragged batch; padded positions are not compared.

    Args:
        name: The model's name.
        left_out: The reason why it is not timed on the batch; empty if it is.
        difference: Centred error of the outputs from the first model's. None for the first, if the two share no output,
            and if one of them is left out.
        batch_difference: Centred error of the outputs from its own on the same texts one by one; None if left out.
        non_finite: The outputs that are NaN or infinite.
    """

    name: str
    left_out: str = ""
    difference: float | None = None
    batch_difference: float | None = None
    non_finite: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """Report of a benchmark: the conditions, the models in the order given, the cells, and the warnings.

    Args:
        other_cores: CPU time that other programs used while the models were timed, in cores.
        error_seq_len: Length, in tokens, at which the models' errors were measured.
        speed_check_ms: Times of the task of `timing.disturbance.speed_check` before each repetition with each number of
            threads; not of those that were repeated.
        failures: Models that could not be timed.
        peaks: Peak arithmetic and memory throughput of the machine, if measured.
        command: The words of the command line, if there was one.
        interrupted: The benchmark was interrupted before all repetitions were done.
        ragged: The times of the ragged batch, by number of threads; empty without one.
        ragged_models: Every model's outputs on it, or why the model is left out.
    """

    date: str
    arguments: Arguments
    machine: Machine
    software: Software
    other_cores: float
    subjects: tuple[SubjectReport, ...]
    cells: tuple[Cell, ...]
    warnings: tuple[str, ...]
    error_seq_len: int | None = None
    speed_check_ms: tuple[float, ...] = ()
    failures: tuple[Failure, ...] = ()
    peaks: tuple[Peaks, ...] = ()
    command: tuple[str, ...] = ()
    interrupted: bool = False
    ragged: tuple[RaggedCell, ...] = ()
    ragged_models: tuple[RaggedModel, ...] = ()

    @property
    def broken(self) -> tuple[str, ...]:
        """The models with outputs that are NaN or infinite."""
        found = {model.name for model in self.ragged_models if model.non_finite}
        return tuple(subject.name for subject in self.subjects if subject.non_finite or subject.name in found)

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON form: the schema's name and version, then every field, raw times included."""
        content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(self)}
        content[SPEED_CHECK_KEY] = content.pop("speed_check_ms")
        for item in (*content["subjects"], *content["ragged_models"]):
            for key in ("difference", "error", "cpu_difference", "padded_difference", "batch_difference"):
                if item.get(key) == math.inf:  # JSON has no infinity
                    item[key] = "inf"
        return content

    def write_json(self, path: Path) -> None:
        """Writes the JSON form to a file. Raises PerfError if it cannot be written."""
        write_json(path, self.to_json())


def threads_text(count: int) -> str:
    """Returns "1 thread", "2 threads"."""
    return f"{count} thread" if count == 1 else f"{count} threads"


def ragged_text(lengths: Sequence[int]) -> str:
    """Returns "8 texts of 16 to 128 tokens", or "2 texts of 16 tokens" where all have one length."""
    shortest, longest = min(lengths), max(lengths)
    sizes = f"{longest} token{'s' if longest > 1 else ''}"
    return f"{len(lengths)} texts of {sizes if shortest == longest else f'{shortest} to {sizes}'}"
