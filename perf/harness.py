"""Bench models against each other, cell by cell: one cell is one length and one thread count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from perf.errors import PerfUsageError
from perf.machine import machine as host
from perf.machine.footprint import footprint
from perf.machine.peaks import Peaks
from perf.outputs.answers import Answers, ask
from perf.outputs.float_reference import error_seq_len
from perf.outputs.measure import Measure
from perf.presentation.warnings import find_warnings
from perf.providers import Provider, resolve
from perf.providers.plugin import imitation
from perf.results.model_file import describe as describe_file
from perf.results.report import Arguments, Failure, Report, SubjectReport
from perf.sessions.inputs import DEFAULT_VOCAB_SIZE, DeclaredInput, declared_inputs, fixed_seq_len, synthesise
from perf.sessions.opener import Opener, describe, placement
from perf.sessions.runtimes import ONNXRUNTIME
from perf.sessions.session import Placement, fallback_warning
from perf.sessions.subject import Subject
from perf.timing.cell import combine
from perf.timing.profiling import CountMacs, profiled
from perf.timing.repetitions import REPETITIONS, all_repetitions
from perf.timing.roster import Roster

__all__ = ["REPETITIONS", "SEQ_LENS", "CountMacs", "Subject", "bench"]

SEQ_LENS = (8, 32, 128, 384)
"""A query, a sentence, a paragraph, and SQuAD's usual window."""

Progress = Callable[[str], None]


# What nobody means; onnxruntime would start them, and the machine stand still.
MOST_THREADS = 1024


@dataclass(frozen=True)
class _Inspected:
    """One file of a subject, and what its runtime says of it."""

    declared: tuple[DeclaredInput, ...]
    placed: Placement
    runtime: str


def bench(
    subjects: Sequence[Subject],
    *,
    provider: str = "cpu",
    seq_lens: Sequence[int] | None = None,
    batch: int = 1,
    threads: Sequence[int] = (1, 2),
    precision: float = 0.02,
    budget_s: float = 10.0,
    seed: int = 0,
    measure: Measure | None = None,
    count_macs: CountMacs | None = None,
    profile: bool = False,
    failures: Sequence[Failure] = (),
    progress: Progress | None = None,
) -> Report:
    """Time every subject at every length and thread count, in turns, and compare each with the first.

    Everything is repeated six times with fresh sessions, opened in one order and then in the other, since two sessions
    of the same file already differ by 1 or 2 %. A repetition of a cell is a warm-up, then rounds in which every
    subject runs once. What runs a model other than this onnxruntime runs in a process of its own, which times itself.

    A model that fails, at whatever stage, is told in the report; the others go on. So is what was measured until a
    KeyboardInterrupt.

    Args:
        subjects: the models; the first is the one that the others are compared with.
        provider: a short name or onnxruntime's own.
        seq_lens: in tokens; None stands for 8, 32, 128 and 384, or the length that fixed-shape models take.
        batch: sequences per run.
        threads: counts of onnxruntime's threads within an operator.
        precision: the timing of a cell ends when the 95 % interval of every median is within ± this share of it,
        budget_s: or when its timed rounds took this many seconds over all subjects and repetitions. At least 12 rounds
            are run; loading and warm-up come on top, the latter with up to a quarter of this. Four lengths and two
            thread counts are eight cells.
        seed: of the ids and of the order within a round.
        measure: computes the centred error of outputs, from the first model's and from those of the float model that a
            subject was built from; None leaves both out.
        count_macs: counts a file's operations; None leaves it out.
        profile: whether to measure what the machine can do at most, and where the time of each model goes.
        failures: of models that were asked for, too, and of which there is no file.
        progress: is told, in a few words, what begins.

    Raises:
        PerfUsageError: an argument that cannot be meant.
        PerfError: a provider that does not work; no model of which any is left, with the last one's error.
        KeyboardInterrupt: before anything was measured.
    """
    _check(subjects, seq_lens, batch, threads, precision, budget_s)
    tell = progress or (lambda _: None)
    date, machine, chosen = host.now(), host.machine(), resolve(provider)
    models = Roster(subjects, failures)
    with Opener(tell) as opener:
        inspected = models.each(lambda subject: _inspect_all(subject, opener, chosen, threads[0]))
        arguments = Arguments(
            chosen.name,
            _lengths(seq_lens, models.subjects, inspected),
            batch,
            tuple(dict.fromkeys(threads)),
            precision,
            budget_s,
            seed,
            min(subject.vocab_size or DEFAULT_VOCAB_SIZE for subject in models.subjects),
        )
        feeds = models.each(lambda subject: _feeds(subject, inspected[subject.name], arguments))
        described: dict[str, SubjectReport] = {}

        def look(subject: Subject) -> Answers:
            tell(f"{subject.name}: load time and memory")
            answers = ask(subject, opener, chosen, threads[0], feeds[subject.name], measure)
            described[subject.name] = _describe(subject, inspected[subject.name], opener, chosen, arguments)
            return answers

        answers = models.each(look)
        watch = host.OthersWatch()
        timed = all_repetitions(models, opener, chosen, feeds, arguments, tell)
        other_cores = watch.cores()
    left = [subject.name for subject in models.subjects]
    first = answers[left[0]] if models.subjects[0].reference is None else None
    reports = [_compared(described[name], answers[name], first, measure) for name in left]
    interrupted = timed.interrupted
    found: tuple[Peaks, ...] = ()
    if profile and not interrupted:
        try:
            found, reports = profiled(reports, models.subjects, chosen, feeds, arguments, count_macs, tell)
        except KeyboardInterrupt:
            interrupted = True
    cells = tuple(
        combine(
            {
                name: feeds[name][seq_len]["input_ids"].size if "input_ids" in feeds[name][seq_len] else batch * seq_len
                for name in left
            },
            parts,
            seq_len=seq_len,
            threads=count,
            precision=precision,
        )
        for (count, seq_len), parts in timed.cells.items()
    )
    fallen = [
        fallback_warning(item.name, chosen, item.placement)
        for subject, item in zip(models.subjects, reports, strict=True)
        if subject.runtime == ONNXRUNTIME
    ]
    warnings = (
        _imitated(chosen)
        + [text for text in fallen if text]
        + find_warnings(machine, arguments, other_cores, cells, reports, timed.speed_check_ms, interrupted=interrupted)
    )
    return Report(
        date,
        arguments,
        machine,
        host.software(),
        other_cores,
        tuple(reports),
        cells,
        tuple(warnings),
        error_seq_len(arguments.seq_lens),
        tuple(timed.speed_check_ms),
        tuple(models.failures),
        found,
        interrupted=interrupted,
    )


def _imitated(provider: Provider) -> list[str]:
    stand_in = imitation(provider)
    if not stand_in:
        return []
    return [
        f"{provider.name} is {stand_in} here: its milliseconds are no measurement of the device; the nodes that it "
        "took, and what it computed, are the device's"
    ]


def _check(
    subjects: Sequence[Subject],
    seq_lens: Sequence[int] | None,
    batch: int,
    threads: Sequence[int],
    precision: float,
    budget_s: float,
) -> None:
    if not subjects:
        raise PerfUsageError("no model given; expected one or more .onnx files")
    names = [subject.name for subject in subjects]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PerfUsageError(f"two models are called {twice!r}; expected a name of its own for each: rename one")
    sizes = [subject.vocab_size for subject in subjects if subject.vocab_size is not None]
    for what, values in {
        "seq-len": seq_lens,
        "threads": threads,
        "batch": [batch],
        "vocab-size": sizes or None,
    }.items():
        if values is not None and (not values or min(values) < 1):
            raise PerfUsageError(f"--{what} is {list(values)}; expected whole numbers from 1 on")
    if max(threads) > MOST_THREADS:
        raise PerfUsageError(f"--threads is {list(threads)}; expected {MOST_THREADS:,} at most")
    if not 0 < precision < 1:
        raise PerfUsageError(f"--precision is {precision}; expected a share of the median such as 0.02")
    if not 0 < budget_s < float("inf"):
        raise PerfUsageError(f"--budget is {budget_s}; expected seconds per cell such as 10")


def _inspect_all(subject: Subject, opener: Opener, provider: Provider, threads: int) -> dict[Path, _Inspected]:
    found = {}
    for file in dict.fromkeys(subject.files):
        session = opener.open(subject, file, provider, threads)
        found[file] = _Inspected(declared_inputs(session), placement(subject, session), describe(subject, session))
    return found


def _feeds(
    subject: Subject, inspected: Mapping[Path, _Inspected], arguments: Arguments
) -> dict[int, dict[str, np.ndarray]]:
    return {
        seq_len: synthesise(
            subject.name,
            inspected[subject.file(seq_len)].declared,
            batch=arguments.batch,
            seq_len=seq_len,
            vocab_size=arguments.vocab_size,
            seed=arguments.seed,
        )
        for seq_len in arguments.seq_lens
    }


def _lengths(
    asked: Sequence[int] | None, subjects: Sequence[Subject], inspected: Mapping[str, Mapping[Path, _Inspected]]
) -> tuple[int, ...]:
    if asked is not None:
        return tuple(dict.fromkeys(asked))
    fixed = {
        subject.name: length
        for subject in subjects
        if not subject.by_length
        and (length := fixed_seq_len(inspected[subject.name][subject.path].declared)) is not None
    }
    if len(set(fixed.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in fixed.items())
        raise PerfUsageError(f"the models take different fixed lengths ({found}); expected one: bench them apart")
    made_for = next((tuple(subject.by_length) for subject in subjects if subject.by_length), SEQ_LENS)
    return (next(iter(fixed.values())),) if fixed else made_for


def _describe(
    subject: Subject,
    inspected: Mapping[Path, _Inspected],
    opener: Opener,
    provider: Provider,
    arguments: Arguments,
) -> SubjectReport:
    longest = max(arguments.seq_lens)
    file, notes = subject.file(longest), subject.notes
    needs = footprint(
        file,
        runtime=subject.runtime,
        provider=arguments.provider,
        threads=max(arguments.threads),
        batch=arguments.batch,
        seq_len=longest,
        vocab_size=arguments.vocab_size,
        library=subject.library,
        python=opener.python(subject, provider),
    )
    if subject.by_length:
        notes = (*notes, f"has a file of its own for each length; the one for {longest} tokens stands in the table")
    found = inspected[file]
    return SubjectReport(
        subject.name,
        describe_file(file),
        needs,
        found.placed,
        runtime=found.runtime,
        notes=notes,
        precision=subject.precision,
    )


def _compared(report: SubjectReport, answers: Answers, first: Answers | None, measure: Measure | None) -> SubjectReport:
    """With how far its answers are from the first model's, unless that has errors of its own."""
    report = replace(report, error=answers.error, cpu_difference=answers.cpu_difference)
    if first is None or answers is first:
        return report
    return replace(
        report,
        difference=answers.difference(first, measure),
        padded_difference=answers.padded_difference(first, measure),
    )
