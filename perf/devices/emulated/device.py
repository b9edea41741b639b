"""Emulated aarch64 processors as a device, which counts instructions and times nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from perf.devices.device import EMULATED
from perf.devices.emulated.emulated import bench_emulated_subjects
from perf.devices.emulated.emulator import BuildCounter, find_qemu, find_sysroot
from perf.devices.emulated.report import EmulatedReport
from perf.devices.job import Job
from perf.outputs.measure import Measure
from perf.sessions.types import Progress


@dataclass(frozen=True)
class EmulatedDevice:
    """Emulated aarch64 processors as a device.

    Of a job's options it uses the lengths, the batch and the seed.

    Args:
        build_kernels: Builds the library of native kernels for aarch64 into a folder; called if a model has a library.
        build_counter: Builds the plugin with which qemu counts instructions.
        measure: Computes the centred error from this machine's outputs; None leaves the difference out.
        name: Its name on the command line.
    """

    build_kernels: Callable[[Path], Path]
    build_counter: BuildCounter
    measure: Measure | None = None
    name: str = EMULATED

    def __enter__(self) -> Self:
        """Raises PerfError where qemu-user or its libraries are not installed."""
        find_qemu()
        find_sysroot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def bench(self, job: Job, progress: Progress | None = None) -> EmulatedReport:
        """Runs the job. Raises what `bench_emulated_subjects` and `build_kernels` raise."""
        with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
            kernels = None
            if any(subject.library for subject in job.subjects):
                if progress is not None:
                    progress("building the native kernels for aarch64")
                kernels = self.build_kernels(Path(folder))
            return bench_emulated_subjects(
                job.subjects,
                self.build_counter,
                kernels=kernels,
                seq_lens=job.options.seq_lens,
                batch=job.options.batch,
                seed=job.options.seed,
                measure=self.measure,
                failures=job.failures,
                progress=progress,
            )
