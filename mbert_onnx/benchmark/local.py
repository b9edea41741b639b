"""`bench`: models against each other on one machine, whatever form they come in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from graphs.execution.centred_error import largest_centred_error
from mbert_onnx.benchmark.measures import count_macs
from mbert_onnx.benchmark.models.builder import ModelBuilder, build_all, distinct
from mbert_onnx.benchmark.options import checked_names, kernels_on
from mbert_onnx.runtime.native_kernels import AUTO, check_choice, library_for
from perf.devices import LOCAL
from perf.harness import bench as bench_subjects
from perf.providers import named
from perf.results.report import Report

Progress = Callable[[str], None]


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
    command: Sequence[str] = (),
    json: str | Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Times models in turns: median, percentiles, tokens per second, load time, memory, ratio to the first.

    Args:
        models: One or more of: a bundle; an `.onnx` file of anybody's; a checkpoint, which is exported first; or a name
            for what is made first. The others are compared with the first.

            Of a checkpoint, `transformers:CHECKPOINT` is transformers' own export, `litert:CHECKPOINT` and
            `litert-int8:CHECKPOINT` are LiteRT's files for each length, in float32 and with dynamic int8,
            `executorch:CHECKPOINT` and `ncnn:CHECKPOINT` those of these runtimes, and
            `torch:CHECKPOINT` and `torch-compile:CHECKPOINT` transformers' module in torch. Of these, CHECKPOINT may
            also be `random:bert-base`, `random:distilbert`, `random:tinybert-4` or `random:tinybert-6`. Ours at a lower
            precision are `fp16:CHECKPOINT` and `int8:CHECKPOINT`. `mobile:CHECKPOINT`, `mobile-fp16:CHECKPOINT` and
            `mobile-int8:CHECKPOINT` are ours for phones: a file of fixed shapes for each length.

            Of any of these, `optimized:MODEL` is what our `optimize` makes of it, `onnxslim:MODEL` and
            `ort-transformers:MODEL` what onnxslim and `onnxruntime.transformers.optimizer` do, `ort-dynamic:MODEL` what
            onnxruntime's `quantize_dynamic` does, and `optimum-PRESET:MODEL` what optimum's presets do (`arm64`,
            `avx2`, `avx512`, `avx512_vnni`, `ppc64le`, `tensorrt`). `openvino:MODEL`, `openvino-bf16:MODEL` and
            `openvino-int8:MODEL` run in OpenVINO, the last quantized by NNCF on the texts that our int8 is calibrated
            on; with `-fixed` behind the name they have a file of fixed shapes for each length, of which it makes faster
            code. `mnn:MODEL`, `iree:MODEL` and `tvm:MODEL` are files of these runtimes for each length.

            Of any of these, `native:MODEL` and `portable:MODEL` are the same file with our native kernels and without,
            whatever `kernels` says.

            Of each of lower precision the centred error is told, from the float model that it was made from.
        provider: An execution provider: `cpu`, or another that the installed onnxruntime has.
        seq_lens: Lengths in tokens; default: 8, 32, 128, 384, or what a model with a fixed length takes.
        batch: Texts per run.
        threads: Numbers of threads to time with.
        task: The task that a checkpoint is exported for; default: its own.
        precision: Measuring ends when the 95 % interval of every median is within this share of it,
        budget: or after this many seconds for each length and number of threads.
        seed: Of the inputs, and of random weights.
        kernels: Whether our native kernels compute the blocks of files that have them: `auto`, where they are there;
            `native`, or an error; `portable`, not.
        device: Where models are timed: `local`, or `ssh://[user@]host[:port]`, where this package is taken to unless it
            is there.
        profile: Whether to measure what this machine can do at most, and where each model's time goes, too.
        command: The words of a command line that asked for it, for the report.
        json: Where to write the report, with all raw times.
        progress: Called with a line at the start of each stage.

    A model that cannot be made or timed is among the report's `failures`, with the reason, and the others are timed
    without it. A KeyboardInterrupt ends the timing early; what was measured until then is reported as `interrupted`.

    Raises:
        UsageError, perf.errors.PerfUsageError: an option that cannot be meant.
        BundleError, CheckpointError, PrecisionError, perf.errors.PerfError, MissingExtraError: a provider that cannot
            be used, or no model that can, of which the first one's error is told.
    """
    names = checked_names(models, json=json)
    if device != LOCAL:
        from mbert_onnx.benchmark.remote.bench import bench_elsewhere

        check_choice(kernels)
        named(provider)
        report = bench_elsewhere(
            names,
            device,
            provider=provider,
            seq_lens=seq_lens,
            batch=batch,
            threads=threads,
            task=task,
            precision=precision,
            budget=budget,
            seed=seed,
            kernels=kernels,
            profile=profile,
            progress=progress,
        )
        return _kept(report, command, json)
    kernels = kernels_on(provider, kernels)
    library_for(kernels)
    with ExitStack() as stack:
        builder = ModelBuilder(
            stack, task=task, seed=seed, seq_lens=seq_lens, batch=batch, kernels=kernels, progress=progress
        )
        subjects, failures = build_all(names, builder.subject)
        report = bench_subjects(
            distinct(subjects),
            provider=provider,
            seq_lens=seq_lens,
            batch=batch,
            threads=threads,
            precision=precision,
            budget_s=budget,
            seed=seed,
            measure=largest_centred_error,
            count_macs=count_macs,
            profile=profile,
            failures=failures,
            progress=progress,
        )
    return _kept(report, command, json)


def _kept(report: Report, command: Sequence[str], json: str | Path | None) -> Report:
    """The report with its command, and in its file."""
    report = replace(report, command=tuple(command))
    if json is not None:
        report.write_json(Path(json))
    return report
