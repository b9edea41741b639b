"""`bench`: models against each other on one machine, whatever form they come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from mbert_onnx._beside import require_beside

require_beside("graphs")
require_beside("perf")

from graphs.errors import GraphError  # noqa: E402
from graphs.judge import centred_error  # noqa: E402
from mbert_onnx.bench_options import checked_names, kernels_on  # noqa: E402
from mbert_onnx.errors import MbertError  # noqa: E402
from mbert_onnx.native import AUTO  # noqa: E402
from mbert_onnx.operations import count_macs  # noqa: E402
from mbert_onnx.subjects import Maker  # noqa: E402
from perf.errors import PerfError  # noqa: E402
from perf.harness import Subject  # noqa: E402
from perf.harness import bench as bench_subjects  # noqa: E402
from perf.report import Failure, Report  # noqa: E402

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
            `litert-int8:CHECKPOINT` are LiteRT's files for each length, in float32 and with dynamic int8, and
            `torch:CHECKPOINT` and `torch-compile:CHECKPOINT` transformers' module in torch. Ours at a lower precision
            are `fp16:CHECKPOINT` and `int8:CHECKPOINT`. `mobile:CHECKPOINT`, `mobile-fp16:CHECKPOINT` and
            `mobile-int8:CHECKPOINT` are ours for phones: a file of fixed shapes for each length.

            Of any of these, `optimized:MODEL` is what our `optimize` makes of it, `onnxslim:MODEL` and
            `ort-transformers:MODEL` what onnxslim and `onnxruntime.transformers.optimizer` do, `ort-dynamic:MODEL` what
            onnxruntime's `quantize_dynamic` does, and `openvino-int8:MODEL` what NNCF does, calibrated on the texts
            that our int8 is. That one runs in OpenVINO, which makes faster code of `openvino-int8-fixed:MODEL`, with a
            file of fixed shapes for each length.

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
    kernels = kernels_on(provider, kernels)
    names = checked_names(models, provider=provider, kernels=kernels, json=json)
    with ExitStack() as stack:
        maker = Maker(stack, task=task, seed=seed, seq_lens=seq_lens, batch=batch, kernels=kernels, progress=progress)
        subjects, failures = _make(maker, names)
        report = bench_subjects(
            _distinct(subjects),
            provider=provider,
            seq_lens=seq_lens,
            batch=batch,
            threads=threads,
            precision=precision,
            budget_s=budget,
            seed=seed,
            measure=_centred_error,
            count_macs=count_macs,
            profile=profile,
            failures=failures,
            progress=progress,
        )
    report = replace(report, command=tuple(command))
    if json is not None:
        report.write_json(Path(json))
    return report


def _centred_error(
    found: Mapping[str, np.ndarray], judge: Mapping[str, np.ndarray], feed: Mapping[str, np.ndarray]
) -> float:
    """The largest over the outputs; NaN if something is, infinite where an output is missing or of another shape."""
    return max(
        (
            centred_error(found[name], value, feed.get("attention_mask"))
            if name in found and found[name].shape == value.shape
            else float("inf")
            for name, value in judge.items()
        ),
        default=0.0,
        key=lambda error: np.inf if np.isnan(error) else error,
    )


def _make(maker: Maker, names: Sequence[str]) -> tuple[list[Subject], list[Failure]]:
    """The models, and why others cannot be had. Raises the first error where none can."""
    subjects, failures = [], []
    first: Exception | None = None
    for name in names:
        try:
            subjects.append(maker.subject(name))
        except (MbertError, GraphError, PerfError) as error:
            failures.append(Failure(name, str(error)))
            first = first or error
    if first is not None and not subjects:
        raise first
    return subjects, failures


def _distinct(subjects: list[Subject]) -> list[Subject]:
    """A model given twice gets a number, so that the report can tell its rows apart."""
    seen: dict[str, int] = {}
    named = []
    for subject in subjects:
        seen[subject.name] = seen.get(subject.name, 0) + 1
        suffix = f" #{seen[subject.name]}" if seen[subject.name] > 1 else ""
        named.append(replace(subject, name=subject.name + suffix))
    return named
