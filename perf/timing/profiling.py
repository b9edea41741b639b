"""Profile: the machine's peak speed, and the time that each model spends in its blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perf.machine.node_profile import BlockTimes, block_times
from perf.machine.peaks import FLOAT32, Peaks, peaks
from perf.providers import CPU
from perf.results.report import Arguments, Cell, SubjectReport
from perf.sessions.runtimes import ONNXRUNTIME
from perf.sessions.subject import Subject
from perf.timing.inspection import Inspection
from perf.timing.run import Run

RUNS = 10
"""Runs at each length under onnxruntime's profiler."""

CountMacs = Callable[[Path, int], int | None]
"""From a file and a length in tokens to the multiply-accumulates of one text; None where that is not known."""


@dataclass(frozen=True)
class Profiled:
    """The subjects' reports, and what the profile added: the machine's peaks, for each number of threads.

    `interrupted` says that a KeyboardInterrupt ended it, so that the reports are as they were and there are no peaks.
    """

    reports: Sequence[SubjectReport]
    peaks: tuple[Peaks, ...] = ()
    interrupted: bool = False


def profile(
    reports: Sequence[SubjectReport],
    run: Run,
    inspection: Inspection,
    count_macs: CountMacs | None,
    cells: Sequence[Cell] = (),
) -> Profiled:
    """Measures the peaks, the times of blocks and the multiply-accumulates.

    Peaks that a model exceeds were measured while other programs ran, or do not hold for it: they are measured again,
    once, and the larger ones count.

    Args:
        reports: The reports of the models still in the run.
        run, inspection: The state and the inspected models.
        count_macs: Counts a file's multiply-accumulates; None leaves them out.
        cells: The times, with which the peaks are compared.
    """
    arguments = inspection.arguments
    try:
        run.progress("peak speed of this machine")
        found = tuple(peaks(count) for count in arguments.threads)
        profiled = [
            replace(report, blocks=_blocks(subject, run, inspection), macs=_macs(subject, arguments, count_macs))
            for report, subject in zip(reports, run.roster.subjects, strict=True)
        ]
        if any(_is_exceeded(peak, profiled, cells) for peak in found):
            run.progress("peak speed of this machine again: a model is above it")
            found = tuple(
                peak.best_of(peaks(peak.threads)) if _is_exceeded(peak, profiled, cells) else peak for peak in found
            )
        return Profiled(profiled, found)
    except KeyboardInterrupt:
        return Profiled(reports, interrupted=True)


def _is_exceeded(peak: Peaks, reports: Sequence[SubjectReport], cells: Sequence[Cell]) -> bool:
    """Returns whether a model does more multiply-accumulates per second than its roof allows."""
    models = {report.name: report for report in reports}
    for cell in cells:
        for item in cell.measurements:
            model = models[item.subject]
            macs = model.macs.get(cell.seq_len)
            if cell.threads == peak.threads and macs:
                roof = peak.roof(model.precision or FLOAT32, macs / model.file.size_bytes)
                if roof is not None and macs / item.median_ms / 1e6 > roof[0]:
                    return True
    return False


def _blocks(subject: Subject, run: Run, inspection: Inspection) -> tuple[BlockTimes, ...]:
    """Measures the times of blocks with the fewest threads, of models that onnxruntime runs on the CPU."""
    if subject.runtime != ONNXRUNTIME or run.provider.ort_name != CPU.ort_name:
        return ()
    run.progress(f"{subject.name}: time in each block")
    threads = min(inspection.arguments.threads)
    return tuple(
        BlockTimes(
            seq_len,
            threads,
            block_times(
                subject.file(seq_len),
                inspection.feeds[subject.name][seq_len],
                threads=threads,
                library=subject.library,
                runs=RUNS,
            ),
        )
        for seq_len in inspection.arguments.seq_lens
    )


def _macs(subject: Subject, arguments: Arguments, count_macs: CountMacs | None) -> dict[int, int]:
    """Counts the multiply-accumulates of a run at each length, from the float model where there is one."""
    if count_macs is None:
        return {}
    found = {}
    for seq_len in arguments.seq_lens:
        macs = count_macs(subject.reference or subject.file(seq_len), seq_len)
        if macs is not None:
            found[seq_len] = macs * arguments.batch
    return found
