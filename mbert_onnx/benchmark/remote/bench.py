"""`bench --device`: models that are made here and timed on another machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from mbert_onnx.benchmark.models.builder import ModelBuilder, build_all, distinct
from mbert_onnx.benchmark.remote.wheel import program
from mbert_onnx.runtime.native_kernels import PORTABLE
from perf.devices import device_named
from perf.devices.job import Job
from perf.results.report import Report

Progress = Callable[[str], None]


def bench_elsewhere(
    names: Sequence[str],
    device: str,
    *,
    provider: str,
    seq_lens: Sequence[int] | None,
    batch: int,
    threads: Sequence[int],
    task: str | None,
    precision: float,
    budget: float,
    seed: int,
    kernels: str,
    profile: bool,
    progress: Progress | None,
) -> Report:
    """The report of another machine, which has its own native kernels. The arguments are those of `bench`.

    Raises what `bench` does, and PerfError for a machine that is not reached or fails.
    """
    with ExitStack() as stack:
        # A host that is down is told before minutes are spent on models.
        there = stack.enter_context(device_named(device, program()))
        builder = ModelBuilder(
            stack, task=task, seed=seed, seq_lens=seq_lens, batch=batch, kernels=PORTABLE, progress=progress
        )
        # Without this machine's kernels: `native:MODEL` means those of the other.
        built, failures = build_all(names, builder.build)
        subjects = distinct([model.subject for model in built])
        own = {subject.name: model.kernels for subject, model in zip(subjects, built, strict=True) if model.kernels}
        job = Job(
            tuple(subjects),
            provider,
            None if seq_lens is None else tuple(seq_lens),
            batch,
            tuple(threads),
            precision,
            budget,
            seed,
            profile,
            tuple(failures),
            kernels,
            own,
        )
        return there.bench(job, progress)
