"""What a device is: a place where models are benched, and what runs them there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from perf.devices.job import Job
from perf.results.report import Report

Progress = Callable[[str], None]

TOLD = "> "


@dataclass(frozen=True)
class Program:
    """What runs a job on another machine; it is brought along where it is not there yet.

    Args:
        module: `python -m MODULE FOLDER` does the job of FOLDER/job.json and writes FOLDER/report.json, or prints one
            line and exits with 1 or 2. On stderr, lines that begin with `TOLD` are its progress.
        identity: What `python -m MODULE --identity` prints where it is the same code as this.
        wheel_for: Writes a wheel of it for a system and a machine, as `uname` names them, into a folder.
    """

    module: str
    identity: str
    wheel_for: Callable[[str, str, Path], Path]


class Device(Protocol):
    """Where a bench runs. It is there from `with` on, and nothing of the bench is left on it afterwards.

    `name` is what `--device` takes.
    """

    @property
    def name(self) -> str: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def bench(self, job: Job, progress: Progress | None = None) -> Report:
        """Does the job; `progress` is told, in a few words, what begins.

        Raises PerfError, PerfUsageError as `perf.harness.bench` does, and PerfError for a device that fails.
        """
        ...
