"""Devices: the machines on which a benchmark runs, and the program that runs it on another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from perf.devices.job import Job
from perf.sessions.types import Progress

ReportT = TypeVar("ReportT", covariant=True)

EMULATED = "emulated-arm64"
"""The name of the emulated device, which counts instructions instead of timing."""

PROGRESS_MARK = "> "
"""The start of a line on a program's stderr that reports progress."""


@dataclass(frozen=True)
class Program:
    """The program that runs a job on another machine; it is installed there if the machine does not have it.

    Args:
        module: `python -m MODULE FOLDER` runs the job of FOLDER/job.json and writes FOLDER/report.json, or prints one
            line and exits with 1 or 2. On stderr, lines that begin with `PROGRESS_MARK` report progress.
        identity: The output of `python -m MODULE --identity` where the machine has the same code as this one.
        wheel_for: Writes a wheel of the code for a system and a machine, as `uname` names them, into a folder.
    """

    module: str
    identity: str
    wheel_for: Callable[[str, str, Path], Path]


class Device(Protocol[ReportT]):
    """A machine on which a benchmark runs. `with` connects to it; at the end nothing of the benchmark is left there.

    `name` is its name on the command line (`--device`). The type of its report is a parameter, because the emulated
    device counts instructions instead of timing.
    """

    @property
    def name(self) -> str: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def bench(self, job: Job, progress: Progress | None = None) -> ReportT:
        """Runs the job and returns its report; `progress` is called with a line at the start of each stage.

        Raises PerfError and PerfUsageError as `perf.harness.bench` does, and PerfError for a device that fails.
        """
        ...
