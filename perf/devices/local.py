"""This machine, in this process."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from perf.devices.device import Progress
from perf.devices.job import Job
from perf.harness import CountMacs, bench
from perf.outputs.measure import Measure
from perf.results.report import Report

LOCAL = "local"


@dataclass(frozen=True)
class LocalDevice:
    """Models run with the libraries that they name; `measure` and `count_macs` are those of `perf.harness.bench`."""

    measure: Measure | None = None
    count_macs: CountMacs | None = None
    name: str = LOCAL

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def bench(self, job: Job, progress: Progress | None = None) -> Report:
        """Does the job. Raises what `perf.harness.bench` does."""
        return bench(
            job.subjects,
            provider=job.provider,
            seq_lens=job.seq_lens,
            batch=job.batch,
            threads=job.threads,
            precision=job.precision,
            budget_s=job.budget_s,
            seed=job.seed,
            measure=self.measure,
            count_macs=self.count_macs,
            profile=job.profile,
            failures=job.failures,
            progress=progress,
        )
