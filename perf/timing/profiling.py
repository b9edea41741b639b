"""Beside the times: what the machine can do at most, and where each model's time goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from perf.machine.node_profile import BlockTimes, block_times
from perf.machine.peaks import Peaks, peaks
from perf.providers import CPU, Provider
from perf.results.report import Arguments, SubjectReport
from perf.sessions.runtimes import ONNXRUNTIME
from perf.sessions.subject import Subject
from perf.timing.repetitions import Feeds

RUNS = 10
"""Of each length, under onnxruntime's profiler."""

CountMacs = Callable[[Path, int], int | None]
"""From a file and a length in tokens to the multiply-accumulates of one text; None where that is not known."""


def profiled(
    reports: Sequence[SubjectReport],
    subjects: Sequence[Subject],
    provider: Provider,
    feeds: Feeds,
    arguments: Arguments,
    count_macs: CountMacs | None,
    tell: Callable[[str], None],
) -> tuple[tuple[Peaks, ...], list[SubjectReport]]:
    """The peaks for each thread count, and the reports with the times of blocks and the multiply-accumulates."""
    tell("what this machine can do at most")
    most = tuple(peaks(count) for count in arguments.threads)
    return most, [
        replace(
            report,
            blocks=_blocks(subject, provider, feeds, arguments, tell),
            macs=_macs(subject, arguments, count_macs),
        )
        for report, subject in zip(reports, subjects, strict=True)
    ]


def _blocks(
    subject: Subject, provider: Provider, feeds: Feeds, arguments: Arguments, tell: Callable[[str], None]
) -> tuple[BlockTimes, ...]:
    """Where the time goes with the fewest threads, of what onnxruntime runs on the CPU."""
    if subject.runtime != ONNXRUNTIME or provider.ort_name != CPU.ort_name:
        return ()

    tell(f"{subject.name}: where its time goes")
    threads = min(arguments.threads)
    return tuple(
        BlockTimes(
            seq_len,
            threads,
            block_times(
                subject.file(seq_len),
                feeds[subject.name][seq_len],
                threads=threads,
                library=subject.library,
                runs=RUNS,
            ),
        )
        for seq_len in arguments.seq_lens
    )


def _macs(subject: Subject, arguments: Arguments, count_macs: CountMacs | None) -> dict[int, int]:
    """Of one run at each length, where the file or the float model that it was made from can be counted."""
    if count_macs is None:
        return {}
    found = {}
    for seq_len in arguments.seq_lens:
        macs = count_macs(subject.reference or subject.file(seq_len), seq_len)
        if macs is not None:
            found[seq_len] = macs * arguments.batch
    return found
