"""Runs one model on every emulated processor: its instructions, and its outputs' difference from this machine's."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perf.devices.emulated.driver import run_driver
from perf.devices.emulated.emulator import Emulated, Emulator
from perf.devices.emulated.report import Count
from perf.errors import PerfError
from perf.outputs.difference import difference
from perf.outputs.measure import Measure
from perf.outputs.non_finite import non_finite
from perf.providers import CPU
from perf.sessions.inputs import declared_inputs, fixed_seq_len, synthesise
from perf.sessions.runtimes import ONNXRUNTIME
from perf.sessions.runtimes.onnxruntime_session import open_session
from perf.sessions.session import first_run
from perf.sessions.subject import Subject
from perf.sessions.types import Progress

SEQ_LENS = (8, 32, 128)
"""Default lengths: those of `bench` without the longest, which takes minutes in an emulator."""

Feed = dict[str, np.ndarray]


@dataclass(frozen=True)
class Setup:
    """The settings that all models share.

    Args:
        emulator: Runs the driver.
        runtime: onnxruntime's library for aarch64.
        kernels: The library of custom operators for aarch64.
        batch: Sequences per run.
        seed, vocab_size: For random token ids.
        measure: Computes the centred error; None leaves the difference out.
        progress: Called with a line at the start of each stage.
    """

    emulator: Emulator
    runtime: Path
    kernels: Path | None
    batch: int
    seed: int
    vocab_size: int
    measure: Measure | None
    progress: Progress


def count(subject: Subject, setup: Setup, seq_lens: Sequence[int] | None) -> list[Count]:
    """Returns the counts of one model. Raises PerfError where it does not run, on this machine or emulated."""
    if subject.runtime != ONNXRUNTIME:
        raise PerfError(f"{subject.name} runs in {subject.runtime}; expected a model for onnxruntime: leave it out")
    if subject.inputs:
        raise PerfError(
            f"{subject.name} reads texts; expected a model of token ids: give the one that it was made from"
        )
    found = []
    for file, lengths in _lengths_by_file(subject, seq_lens).items():
        session = open_session(file, CPU, 1, subject.library)
        declared = declared_inputs(session)
        feeds = [
            synthesise(
                subject.name,
                declared,
                batch=setup.batch,
                seq_len=seq_len,
                vocab_size=setup.vocab_size,
                seed=setup.seed,
            )
            for seq_len in lengths
        ]
        here = [first_run(subject.name, session, feed) for feed in feeds]
        for on in setup.emulator.processors:
            setup.progress(f"{subject.name}: {', '.join(map(str, lengths))} tokens on {on.model}")
            found += _on(subject, file, on, setup, lengths, feeds, here)
    return found


def _on(
    subject: Subject,
    file: Path,
    on: Emulated,
    setup: Setup,
    lengths: Sequence[int],
    feeds: Sequence[Feed],
    here: Sequence[Feed],
) -> list[Count]:
    library = setup.kernels if subject.library is not None else None
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
        runs = run_driver(setup.emulator, on, setup.runtime, file, library, feeds, Path(folder))
    found = []
    for seq_len, run, expected, feed in zip(lengths, runs, here, feeds, strict=True):
        outputs = dict(zip(expected, run.outputs, strict=True))
        found.append(
            Count(
                subject.name,
                seq_len,
                on.processor.instruction_set,
                run.instructions,
                difference(outputs, expected, feed, setup.measure),
                tuple(non_finite(outputs, feed)),
            )
        )
    return found


def _lengths_by_file(subject: Subject, seq_lens: Sequence[int] | None) -> dict[Path, list[int]]:
    """Returns the lengths to run each file at. Raises PerfError where a file does not load."""
    if seq_lens is None and not subject.by_length:
        fixed = fixed_seq_len(declared_inputs(open_session(subject.path, CPU, 1, subject.library)))
        taken = tuple(length for length in SEQ_LENS if subject.sizes.takes(length)) or (subject.sizes.longest or 1,)
        seq_lens = taken if fixed is None else (fixed,)
    files: dict[Path, list[int]] = {}
    for seq_len in dict.fromkeys(seq_lens or subject.by_length):
        files.setdefault(subject.file(seq_len), []).append(seq_len)
    return files
