"""`--device emulated-arm64`: models in onnxruntime for aarch64 under qemu-user."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import onnxruntime as ort

from perf.devices.emulated.counting import Place, count
from perf.devices.emulated.doubts import doubts
from perf.devices.emulated.driver import build_driver
from perf.devices.emulated.emulator import BuildCounter, Emulator, find_sysroot, installed
from perf.devices.emulated.report import Count, EmulatedProcessor, EmulatedReport, EmulatedSubject
from perf.devices.emulated.runtime import runtime_library
from perf.errors import PerfError, PerfUsageError
from perf.machine import machine as host
from perf.outputs.measure import Measure
from perf.results.model_file import describe
from perf.results.report import Failure
from perf.sessions.inputs import DEFAULT_VOCAB_SIZE
from perf.sessions.subject import Subject

Progress = Callable[[str], None]


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

    A model that fails is told in the report, and the others go on. So is what was found until a KeyboardInterrupt.

    Args:
        subjects: The models; those with a `library` are run with `kernels` in its place.
        build_counter: Builds the plugin of qemu that counts.
        kernels: The library of custom operators for aarch64.
        seq_lens: In tokens; None stands for 8, 32 and 128, or the lengths that a model with fixed shapes takes.
        batch: Sequences per run.
        seed: Of the ids.
        measure: Computes the centred error from this machine's outputs; None leaves the difference out.
        failures: Of models that were asked for, too, and of which there is no file.
        progress: Is told, in a few words, what begins.

    Raises:
        PerfUsageError: an argument that cannot be meant.
        PerfError: what it takes is not installed; no model that runs, with the first one's error.
        KeyboardInterrupt: before anything was found.
    """
    _check(subjects, seq_lens, batch)
    tell = progress or (lambda _: None)
    date, machine, told = host.now(), host.machine(), list(failures)
    counts: list[Count] = []
    described: list[EmulatedSubject] = []
    first: PerfError | None = None
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as made:
        emulator, runtime = _prepare(build_counter, Path(made), tell)
        vocab_size = min(subject.vocab_size or DEFAULT_VOCAB_SIZE for subject in subjects)
        place = Place(emulator, runtime, kernels, batch, seed, vocab_size, measure, tell)
        for subject in subjects:
            try:
                counts += count(subject, place, seq_lens)
                described.append(
                    EmulatedSubject(subject.name, describe(subject.path), subject.library is not None, subject.notes)
                )
            except PerfError as error:
                told.append(Failure(subject.name, str(error)))
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
        tuple(doubts(emulator, counts, interrupted)),
        tuple(told),
        interrupted,
    )


def _check(subjects: Sequence[Subject], seq_lens: Sequence[int] | None, batch: int) -> None:
    if not subjects:
        raise PerfUsageError("no model to run; expected one or more")
    for what, value in [("batch", batch), *(("seq-len", length) for length in seq_lens or ())]:
        if value < 1:
            raise PerfUsageError(f"--{what} is {value}; expected a whole number from 1 on")


def _prepare(build_counter: BuildCounter, folder: Path, tell: Progress) -> tuple[Emulator, Path]:
    tell("preparing the emulator")
    installed()
    find_sysroot()
    runtime = runtime_library(tell)
    return Emulator(build_driver(folder, runtime), build_counter, folder), runtime
