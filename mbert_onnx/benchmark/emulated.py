"""`bench --device emulated-arm64`: outputs and instruction counts of models on emulated aarch64 processors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from graphs.execution.centred_error import largest_centred_error
from graphs.kernels.build import BuildError, build, build_counter
from mbert_onnx.benchmark.models.builder import ModelBuilder, build_all
from mbert_onnx.benchmark.options import checked_names, kernels_on
from mbert_onnx.errors import MbertError
from mbert_onnx.runtime.native_kernels import AUTO, NATIVE, PORTABLE, check_choice
from perf.devices.emulated.counting import SEQ_LENS
from perf.devices.emulated.device import EmulatedDevice
from perf.devices.emulated.report import EmulatedReport
from perf.devices.job import Job
from perf.errors import PerfError, one_line
from perf.providers import CPU
from perf.sessions.subject import Subject
from perf.sessions.types import Progress
from perf.timing.options import BenchOptions

# The target that the kernels are built for.
TARGET = "aarch64-linux"


def bench_emulated(
    models: str | Path | Sequence[str | Path],
    *,
    seq_lens: Sequence[int] | None = None,
    batch: int = 1,
    task: str | None = None,
    seed: int = 0,
    kernels: str = AUTO,
    json: str | Path | None = None,
    progress: Progress | None = None,
    command: Sequence[str] = (),
) -> EmulatedReport:
    """Runs models in onnxruntime for aarch64 under qemu-user; compares their outputs and counts instructions.

    It reports no times, because an emulator's times are not a processor's. Each model runs on a processor without 8-bit
    product instructions, one with dot products, and one with matrix products.

    Args:
        models: The models of `bench` that onnxruntime runs.
        seq_lens: Lengths in tokens; default: 8, 32 and 128, or the length of a model with a fixed length.
        batch: Texts per run, as in `bench`.
        task: The task that a checkpoint is exported for, as in `bench`.
        seed: Seed of the inputs, and of random weights.
        kernels: Whether our native kernels compute the blocks of files that have them: `auto`, once without and once
            with them; `native`, with them, or an error; `portable`, without.
        json: The file to which the report is written.
        progress: Called with a line at the start of each stage.
        command: The command line that called this, for the report.

    A model that cannot be built or run is among the report's `failures`. A KeyboardInterrupt ends it early; the report
    has the models that were run until then.

    Raises:
        UsageError, perf.errors.PerfUsageError: an option out of range.
        perf.errors.PerfError: qemu-user, its libraries or the compiler are not installed, or onnxruntime for aarch64
            cannot be downloaded.
        MbertError: the kernels cannot be built, or no model can be run.
    """
    names = checked_names(models, json=json)
    kernels = kernels_on(CPU.name, kernels)
    check_choice(kernels)  # this machine's library is not used
    options = BenchOptions(seq_lens=None if seq_lens is None else tuple(seq_lens), batch=batch, seed=seed)
    with ExitStack() as stack:
        # Connected first: a missing emulator is reported before minutes are spent on models.
        device = stack.enter_context(EmulatedDevice(_build_kernels, _build_counter, largest_centred_error))
        builder = ModelBuilder(
            stack,
            task=task,
            seed=seed,
            seq_lens=seq_lens or SEQ_LENS,
            batch=batch,
            kernels=kernels,
            progress=progress,
        )
        built, failures = build_all(names, builder.subject)
        variants = [variant for subject in built for variant in _variants(subject, kernels)]
        subjects = {subject.name: subject for subject in variants}.values()
        report = device.bench(Job(tuple(subjects), options, tuple(failures)), progress)
    report = replace(report, command=tuple(command))
    if json is not None:
        report.write_json(Path(json))
    return report


def _variants(subject: Subject, kernels: str) -> list[Subject]:
    """Returns the model without the kernels and with them where neither is chosen; else the model alone."""
    if subject.library is not None:
        subject = replace(subject, notes=subject.notes[:-1])  # the last note is this machine's instruction set
    if kernels != AUTO or subject.library is None or subject.name.startswith((f"{NATIVE}:", f"{PORTABLE}:")):
        return [subject]
    return [
        replace(subject, name=f"{PORTABLE}:{subject.name}", library=None),
        replace(subject, name=f"{NATIVE}:{subject.name}"),
    ]


def _build_kernels(folder: Path) -> Path:
    try:
        return build(folder, TARGET)
    except BuildError as error:
        raise MbertError(f"cannot build the kernels for aarch64 ({one_line(error)}); pass --kernels portable") from None


def _build_counter(folder: Path, interface: int) -> Path:
    try:
        return build_counter(folder, interface)
    except BuildError as error:
        raise PerfError(f"cannot build the instruction counter ({one_line(error)}); expected ziglang 0.17.1") from None
