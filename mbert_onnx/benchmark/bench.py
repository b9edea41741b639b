"""`bench`: times models against each other on one device, whatever form they come in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from mbert_onnx.benchmark.device import find_device
from mbert_onnx.benchmark.models.builder import ModelBuilder, build_all, distinct
from mbert_onnx.benchmark.options import checked_names
from mbert_onnx.runtime.native_kernels import AUTO, PORTABLE
from mbert_onnx.runtime.size_limits import check_threads
from perf.devices import LOCAL
from perf.devices.job import Job
from perf.results.report import Report
from perf.sessions.types import Progress
from perf.timing.options import BenchOptions


def bench(
    models: str | Path | Sequence[str | Path],
    *,
    provider: str = "cpu",
    seq_lens: Sequence[int] | None = None,
    batch: int = 1,
    threads: Sequence[int] = (1, 2),
    task: str | None = None,
    precision: float = 0.02,
    budget: float = 10.0,
    seed: int = 0,
    kernels: str = AUTO,
    device: str = LOCAL,
    profile: bool = False,
    ragged: Sequence[int] | None = None,
    command: Sequence[str] = (),
    json: str | Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Times models in turns: median, percentiles, tokens per second, load time, memory, ratio to the first.

    Args:
        models: One or more of: a bundle; an `.onnx` file; a checkpoint, which is exported first; or a name with a
            prefix, such as `int8:CHECKPOINT` or `openvino:MODEL`, for a model that is built first by this package or
            another tool: `mbert-onnx bench --help` lists the prefixes. The others are compared with the first. A model
            of lower precision also gets its centred error from the float model that it was built from.
        provider: An execution provider: `cpu`, or another one of the installed onnxruntime.
        seq_lens: Lengths in tokens; default: 8, 32, 128 and 384, or the length of a model with a fixed length.
        batch: Texts per run.
        threads: Numbers of threads, 1 to 1,024; each is timed with each length.
        task: The task that a checkpoint is exported for; default: its own.
        precision: Timing ends when the 95 % interval of every median is within ± this share of it,
        budget: or after this many seconds of timed rounds for each length and number of threads. At least 12 rounds
            are run; loading and warm-up are not counted.
        seed: Seed of the inputs, and of random weights.
        kernels: Whether our native kernels compute the blocks of files that have them: `auto`, where the kernels are
            installed; `native`, or an error; `portable`, not. `native:MODEL` and `portable:MODEL` override it.
        device: The machine that runs the models: `local`, or `ssh://[user@]host[:port]`, to which this package is
            copied unless it is installed there.
        profile: Whether to measure the machine's peak speed, and the time that each model spends in its blocks.
        ragged: Lengths in tokens of 2 to 1,024 texts, which are also timed in one batch, padded to the longest, and one
            by one at their own lengths. Without `seq_lens`, the longest of them is then the only other length.
        command: The command line that called this, for the report.
        json: The file to which the report is written, with all raw times.
        progress: Called with a line at the start of each stage.

    A model that cannot be built or timed is among the report's `failures`, with the reason, and the others are timed
    without it. A KeyboardInterrupt ends the timing early; the report has the measurements until then, and is
    `interrupted`.

    Raises:
        UsageError, perf.errors.PerfUsageError: an option out of range.
        BundleError, CheckpointError, PrecisionError, perf.errors.PerfError, MissingExtraError: a provider or device
            that cannot be used, or no model that can be built or timed, with one model's error.
    """
    names = checked_names(models, json=json)
    check_threads(*threads)
    options = BenchOptions(
        provider=provider,
        seq_lens=None if seq_lens is None else tuple(seq_lens),
        batch=batch,
        threads=tuple(threads),
        precision=precision,
        budget_s=budget,
        seed=seed,
        profile=profile,
        ragged=() if ragged is None else tuple(ragged),
    )
    with ExitStack() as stack:
        # Connected first: a host that is down is reported before minutes are spent on models.
        connected = stack.enter_context(find_device(device, provider=provider, kernels=kernels))
        builder = ModelBuilder(
            stack,
            task=task,
            seed=seed,
            seq_lens=options.chosen_lengths,
            batch=batch,
            kernels=PORTABLE,
            progress=progress,
        )
        report = connected.bench(_job(names, builder, options, kernels), progress)
    report = replace(report, command=tuple(command))
    if json is not None:
        report.write_json(Path(json))
    return report


def _job(names: Sequence[str], builder: ModelBuilder, options: BenchOptions, kernels: str) -> Job:
    """Builds the models without native kernels, which the device sets: `native:MODEL` means those of its machine."""
    built, failures = build_all(names, builder.build)
    subjects = distinct([model.subject for model in built])
    own = {subject.name: model.kernels for subject, model in zip(subjects, built, strict=True) if model.kernels}
    return Job(tuple(subjects), options, tuple(failures), kernels, own)
