"""This machine, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from perf.devices.job import Job
from perf.harness import CountMacs, bench
from perf.outputs.measure import Measure
from perf.results.report import Report
from perf.sessions.types import Progress

LOCAL = "local"


@dataclass(frozen=True)
class LocalDevice:
    """This machine as a device.

    Args:
        measure, count_macs: Those of `perf.harness.bench`.
        prepare: Sets the parts of a job that depend on the machine that runs it, such as libraries of kernels.
        name: Its name on the command line.
    """

    measure: Measure | None = None
    count_macs: CountMacs | None = None
    prepare: Callable[[Job], Job] = lambda job: job
    name: str = LOCAL

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def bench(self, job: Job, progress: Progress | None = None) -> Report:
        """Runs the job. Raises what `prepare` and `perf.harness.bench` raise."""
        job = self.prepare(job)
        return bench(
            job.subjects,
            job.options,
            measure=self.measure,
            count_macs=self.count_macs,
            failures=job.failures,
            progress=progress,
        )
