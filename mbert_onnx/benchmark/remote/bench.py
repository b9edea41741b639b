"""`bench --device`: models that are made here and timed on another machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from mbert_onnx.benchmark.models.build_all import make_all
from mbert_onnx.benchmark.models.builder import Maker, distinct
from mbert_onnx.benchmark.remote.job import travelling
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
        maker = Maker(stack, task=task, seed=seed, seq_lens=seq_lens, batch=batch, kernels=PORTABLE, progress=progress)
        made, failures = make_all(names, lambda name: travelling(maker, name))
        subjects = distinct([subject for subject, _ in made])
        own = {subject.name: choice for subject, (_, choice) in zip(subjects, made, strict=True) if choice}
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
