"""`--device emulated-arm64`: models in onnxruntime for aarch64 under qemu-user."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from perf.devices.emulated.counting import Setup, count
from perf.devices.emulated.driver import build_driver
from perf.devices.emulated.emulator import BuildCounter, Emulator, find_qemu, find_sysroot
from perf.devices.emulated.report import Count, EmulatedProcessor, EmulatedReport, EmulatedSubject
from perf.devices.emulated.runtime import runtime_library
from perf.errors import PerfError, PerfUsageError
from perf.machine import machine as host
from perf.outputs.measure import Measure
from perf.presentation.warnings import ANOTHER
from perf.results.model_file import describe
from perf.results.report import Failure
from perf.sessions.inputs import DEFAULT_VOCAB_SIZE
from perf.sessions.subject import Subject
from perf.sessions.types import Progress, no_progress


def bench_emulated_subjects(
    subjects: Sequence[Subject],
    build_counter: BuildCounter,
    *,
    kernels: Path | None = None,
    seq_lens: Sequence[int] | None = None,
    batch: int = 1,
    seed: int = 0,
    measure: Measure | None = None,
    failures: Sequence[Failure] = (),
    progress: Progress | None = None,
) -> EmulatedReport:
    """Runs every model at every length on every processor that qemu emulates here.

    A model that fails is among the report's failures, and the others continue. After a KeyboardInterrupt the report has
    the counts until then.

    Args:
        subjects: The models; those with a `library` are run with `kernels` in its place.
        build_counter: Builds the plugin with which qemu counts instructions.
        kernels: The library of custom operators for aarch64.
        seq_lens: In tokens; None stands for 8, 32 and 128, or the lengths that a model with fixed shapes takes.
        batch: Sequences per run.
        seed: The seed of random token ids.
        measure: Computes the centred error from this machine's outputs; None leaves the difference out.
        failures: Failures of models that could not be built, for the report.
        progress: Called with a line at the start of each stage.

    Raises:
        PerfUsageError: an argument is out of its range.
        PerfError: qemu, a library or the compiler is missing; or no model runs, with the first model's error.
        KeyboardInterrupt: before the first count.
    """
    _check(subjects, seq_lens, batch)
    report_progress = progress or no_progress
    date, machine, failed = host.now(), host.machine(), list(failures)
    counts: list[Count] = []
    described: list[EmulatedSubject] = []
    first: PerfError | None = None
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
        emulator, runtime = _prepare(build_counter, Path(folder), report_progress)
        vocab_size = min(subject.vocab_size or DEFAULT_VOCAB_SIZE for subject in subjects)
        setup = Setup(emulator, runtime, kernels, batch, seed, vocab_size, measure, report_progress)
        for subject in subjects:
            try:
                counts += count(subject, setup, seq_lens)
                described.append(
                    EmulatedSubject(subject.name, describe(subject.path), subject.library is not None, subject.notes)
                )
            except PerfError as error:
                failed.append(Failure(subject.name, str(error)))
                first = first or error
            except KeyboardInterrupt:
                if not counts:
                    raise
                interrupted = True
                break
    if first is not None and not counts:
        raise first
    return EmulatedReport(
        date,
        machine,
        host.software(),
        emulator.version,
        ort.__version__,
        batch,
        seed,
        vocab_size,
        tuple(EmulatedProcessor(one.processor.instruction_set, one.model) for one in emulator.processors),
        tuple(described),
        tuple(counts),
        tuple(_warnings(emulator, counts, interrupted)),
        tuple(failed),
        interrupted,
    )


def _check(subjects: Sequence[Subject], seq_lens: Sequence[int] | None, batch: int) -> None:
    if not subjects:
        raise PerfUsageError("no model to run; expected one or more")
    for what, value in [("batch", batch), *(("seq-len", length) for length in seq_lens or ())]:
        if value < 1:
            raise PerfUsageError(f"--{what} is {value}; expected a whole number from 1 on")


def _prepare(build_counter: BuildCounter, folder: Path, progress: Progress) -> tuple[Emulator, Path]:
    progress("preparing the emulator")
    find_qemu()
    find_sysroot()
    runtime = runtime_library(progress)
    return Emulator(build_driver(folder, runtime), build_counter, folder), runtime


def _warnings(emulator: Emulator, counts: Sequence[Count], interrupted: bool) -> list[str]:
    """Returns the warnings, in the order of their causes: processors, the interrupt, the emulator, models."""
    found = list(emulator.refused)
    if interrupted:
        found.append("interrupted: models after the last one of the table were not run")
    if not emulator.counts:
        found.append(
            f"no instructions were counted: qemu {emulator.version} does not load the plugin; expected a qemu-user "
            "with plugins, such as Debian 12's, or one built with --enable-plugins"
        )
    worst: dict[str, Count] = {}
    broken: dict[str, Count] = {}
    for one in counts:
        if one.non_finite:
            broken.setdefault(one.subject, one)
        elif one.difference is not None and not one.difference <= ANOTHER:
            known = worst.get(one.subject)
            if known is None or not one.difference <= (known.difference or 0.0):
                worst[one.subject] = one
    found += [
        f"{name} is not usable: its output {', '.join(one.non_finite)} is NaN or infinite at {one.seq_len} tokens on "
        f"{one.processor}"
        for name, one in broken.items()
    ]
    return found + [
        f"{name}: outputs on aarch64 differ from this machine's, with a centred error of {one.difference:.2g} at "
        f"{one.seq_len} tokens on {one.processor}; expected at most {ANOTHER:g}"
        for name, one in worst.items()
    ]
