"""What a bench found, as plain data, and its JSON."""

from __future__ import annotations

import math
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
"""Grows when a key changes its meaning or goes away; new keys do not count."""


SPEED_CHECK_KEY = "guard_ms"
"""The JSON key of `Report.speed_check_ms`, its name when the schema was defined."""


@dataclass(frozen=True)
class Arguments:
    """What was asked for, after defaults: precision is a share of the median, the budget is seconds per cell.

    `device` is where it ran, as `--device` takes it.
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


@dataclass(frozen=True)
class Failure:
    """A model that could not be timed, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class SubjectReport:
    """One model: called as the user called it, its file, what it needs, and which provider took its nodes.

    `difference` is the centred error of its outputs from the first model's at the shortest length; None for the first,
    where no output is shared, and where the first has an `error`. `error` is the centred error of its outputs from
    those of the float model that it was made from; None where that is not known. Infinite ones are the text "inf" in
    JSON. `runtime` is what ran it, with its version; `notes` say how it was made.
    `cpu_difference` is how far another provider's outputs are from the CPU's for the same file, measured as
    `difference` is; None on the CPU. `precision` is what its products are computed in, `float32` or `int8`; empty where
    that is not known. `macs` are the multiply-accumulates of a run, for each length; `blocks` tell where its time goes.
    `padded_difference` is `difference` on texts half of which are padding.
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


@dataclass(frozen=True)
class Measurement:
    """One model in one cell. Times in ms, tokens per second at the median; `low_ms` to `high_ms` is the 95 % interval.

    `stable` says whether that interval is as narrow as was asked; `unsteady_repetitions` counts those in which the
    time was still moving when warm-up ended. `speedup` is how many times as fast as the first
    model it is, from the ratios of the rounds; None for the first. `times_ms` are all runs, in order.
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
        """The same as a share of the median."""
        return self.half_width_ms / self.median_ms


@dataclass(frozen=True)
class Cell:
    """All models at one length and thread count.

    The n-th times of all models are of the same round; `rounds` tells how many rounds each repetition had.
    """

    seq_len: int
    threads: int
    rounds: tuple[int, ...]
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True)
class Report:
    """A whole bench: the conditions, the models in the order given, the cells, and what to doubt.

    `other_cores` is how many cores' worth of time other programs used while the models were timed; `error_seq_len`
    the length, in tokens, at which the models' errors were measured; `speed_check_ms` what the task of
    `timing.speed_check` took before each repetition with each number of threads. `failures` are the models that
    could not be timed; `peaks` what the machine can do at most, if that was measured; `command` the words of the
    command line, if there was one; `interrupted` says that it was ended before all repetitions were done.
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

    def to_json(self) -> dict[str, Any]:
        """A dict that `json` can write: the schema's name and version, then every field, raw times included."""
        told = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(self)}
        told[SPEED_CHECK_KEY] = told.pop("speed_check_ms")
        for subject in told["subjects"]:
            for key in ("difference", "error", "cpu_difference", "padded_difference"):
                if subject[key] == math.inf:  # JSON has no infinity
                    subject[key] = "inf"
        return told

    def write_json(self, path: Path) -> None:
        """Writes it as a file. Raises PerfError where it cannot be written."""
        write_json(path, self.to_json())


def threads_text(count: int) -> str:
    """Returns "1 thread", "2 threads"."""
    return f"{count} thread" if count == 1 else f"{count} threads"
