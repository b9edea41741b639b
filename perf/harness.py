"""Bench models against each other, cell by cell: one cell is one length and one thread count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from perf import machine as host
from perf.agreement import difference
from perf.cell import Repetition, combine, repeat
from perf.doubts import doubts, threads_text
from perf.errors import PerfUsageError
from perf.files import describe
from perf.footprint import footprint
from perf.guard import guard_ms
from perf.inputs import DEFAULT_VOCAB_SIZE, DeclaredInput, declared_inputs, fixed_seq_len, synthesise
from perf.providers import CPU, Provider, resolve
from perf.providers.plugin import imitation
from perf.reference import Measure, error_seq_len, reference_error
from perf.report import Arguments, Report, SubjectReport
from perf.runtimes import ONNXRUNTIME, runtime_named
from perf.session import Placement, Session, fallback_warning, first_run

SEQ_LENS = (8, 32, 128, 384)
"""A query, a sentence, a paragraph, and SQuAD's usual window."""

REPETITIONS = 6
"""Each cell is timed this often, with fresh sessions: the fewest values whose median has a 95 % interval."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """A model to bench.

    Args:
        name: What to call it.
        path: Its file; if it has one for each length, that of the longest.
        vocab_size: Below which number its ids must stay, if that is known.
        runtime: What runs it, one of `perf.runtimes`.
        by_length: Its file for each length in tokens, where shapes are fixed; empty where one file takes all.
        reference: The `.onnx` of the float model that it was made from, where its outputs are to be compared with that.
        notes: How it was made, a line each.
        library: Of custom operators that it is run with.
    """

    name: str
    path: Path
    vocab_size: int | None = None
    runtime: str = ONNXRUNTIME
    by_length: Mapping[int, Path] = field(default_factory=dict)
    reference: Path | None = None
    notes: tuple[str, ...] = ()
    library: Path | None = None

    @property
    def files(self) -> list[Path]:
        return [*self.by_length.values()] or [self.path]

    def file(self, seq_len: int) -> Path:
        """The file that takes so many tokens. Raises PerfUsageError where there is none."""
        if self.by_length and seq_len not in self.by_length:
            lengths = ",".join(map(str, self.by_length))
            raise PerfUsageError(f"{self.name} was made for {lengths} tokens, not {seq_len}: pass --seq-len {lengths}")
        return self.by_length.get(seq_len, self.path)


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
    progress: Progress | None = None,
) -> Report:
    """Time every subject at every length and thread count, in turns, and compare each with the first.

    Everything is repeated six times with fresh sessions, opened in one order and then in the other, since two sessions
    of the same file already differ by 1 or 2 %. A repetition of a cell is a warm-up, then rounds in which every
    subject runs once.

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
        measure: how far outputs are from those of the float model that a subject was made from; None leaves it out.
        progress: is told, in a few words, what begins.

    Raises:
        PerfUsageError: an argument that cannot be meant, or that a model does not take.
        PerfError: a file or provider that does not work, a provider that takes no node.
    """
    _check(subjects, seq_lens, batch, threads, precision, budget_s)
    tell = progress or (lambda _: None)
    date, machine, chosen = host.now(), host.machine(), resolve(provider)
    vocab_size = min(subject.vocab_size or DEFAULT_VOCAB_SIZE for subject in subjects)
    inspected = [
        {file: _inspect(subject, file, chosen, threads[0]) for file in dict.fromkeys(subject.files)}
        for subject in subjects
    ]
    lengths = _lengths(seq_lens, subjects, inspected)
    arguments = Arguments(
        chosen.name, lengths, batch, tuple(dict.fromkeys(threads)), precision, budget_s, seed, vocab_size
    )
    feeds = {
        seq_len: [
            synthesise(
                subject.name,
                files[subject.file(seq_len)].declared,
                batch=batch,
                seq_len=seq_len,
                vocab_size=vocab_size,
                seed=seed,
            )
            for subject, files in zip(subjects, inspected, strict=True)
        ]
        for seq_len in lengths
    }
    described: list[SubjectReport] = []
    first: dict[str, np.ndarray] | None = None
    measured_at = error_seq_len(lengths)
    for number, (subject, files) in enumerate(zip(subjects, inspected, strict=True)):
        tell(f"{subject.name}: load time and memory")

        @cache
        def said(
            seq_len: int, on: Provider = chosen, subject: Subject = subject, number: int = number
        ) -> dict[str, np.ndarray]:
            session = _open_one(subject, subject.file(seq_len), on, threads[0])
            return first_run(subject.name, session, feeds[seq_len][number])

        on_cpu = None
        if chosen.ort_name != CPU.ort_name and subject.runtime == ONNXRUNTIME:
            on_cpu = difference(said(min(lengths)), said(min(lengths), CPU))
        far = None
        if subjects[0].reference is None:  # else the first has errors of its own, and a distance from it says nothing
            answers = said(min(lengths))
            far = None if first is None else difference(answers, first)
            first = answers if first is None else first
        error = None
        if subject.reference is not None and measure is not None:
            error = reference_error(subject.reference, said(measured_at), feeds[measured_at][number], measure)
        found = _describe(subject, files[subject.file(max(lengths))], arguments, far, error)
        described.append(replace(found, cpu_difference=on_cpu))
    watch = host.OthersWatch()
    repetitions, guard = _repetitions(subjects, chosen, feeds, arguments, tell)
    other_cores = watch.cores()
    cells = tuple(
        combine(
            [subject.name for subject in subjects],
            [feed["input_ids"].size if "input_ids" in feed else batch * seq_len for feed in feeds[seq_len]],
            parts,
            seq_len=seq_len,
            threads=count,
            precision=precision,
        )
        for (count, seq_len), parts in repetitions.items()
    )
    fallen = [
        fallback_warning(item.name, chosen, item.placement)
        for subject, item in zip(subjects, described, strict=True)
        if subject.runtime == ONNXRUNTIME
    ]
    warnings = (
        _imitated(chosen)
        + [text for text in fallen if text]
        + doubts(machine, arguments, other_cores, cells, described, guard)
    )
    return Report(
        date,
        arguments,
        machine,
        host.software(),
        other_cores,
        tuple(described),
        cells,
        tuple(warnings),
        measured_at,
        guard,
    )


def _imitated(provider: Provider) -> list[str]:
    stand_in = imitation(provider)
    if not stand_in:
        return []
    return [
        f"{provider.name} is {stand_in} here: its milliseconds are no measurement of the device; the nodes that it "
        "took, and what it computed, are the device's"
    ]


def _repetitions(
    subjects: Sequence[Subject],
    provider: Provider,
    feeds: Mapping[int, Sequence[dict[str, np.ndarray]]],
    arguments: Arguments,
    tell: Progress,
) -> tuple[dict[tuple[int, int], list[Repetition]], tuple[float, ...]]:
    """All repetitions of all cells, the key is (threads, seq_len); and the guard's times between them, in ms.

    A repetition goes through all cells before the next begins, so that what changes within minutes befalls every cell.
    """
    names = [subject.name for subject in subjects]
    taken: dict[tuple[int, int], list[Repetition]] = {
        (count, seq_len): [] for count in arguments.threads for seq_len in arguments.seq_lens
    }
    guard = []
    for number in range(REPETITIONS):
        for count in arguments.threads:
            guard.append(guard_ms())
            sessions = _open(subjects, provider, count, arguments.seq_lens, reverse=number % 2 == 1)
            for seq_len in arguments.seq_lens:
                tell(f"repetition {number + 1} of {REPETITIONS}: {threads_text(count)}, {seq_len} tokens")
                part = repeat(
                    names,
                    [by_length[seq_len] for by_length in sessions],
                    feeds[seq_len],
                    precision=arguments.precision * REPETITIONS**0.5,  # all together are that much more precise
                    budget_s=arguments.budget_s / REPETITIONS,
                    seed=arguments.seed + number,
                )
                taken[count, seq_len].append(part)
            sessions.clear()  # or the next thread count's would be made while these hold memory
    return taken, tuple(guard)


def _open(
    subjects: Sequence[Subject], provider: Provider, threads: int, seq_lens: Sequence[int], *, reverse: bool
) -> list[dict[int, Session]]:
    """For each subject its session for each length, which is one and the same where one file takes all.

    Who is made later often lies better in memory, so both orders are used.
    """
    made = []
    for subject in subjects[::-1] if reverse else subjects:
        files = dict.fromkeys(subject.file(seq_len) for seq_len in seq_lens)
        sessions = {file: _open_one(subject, file, provider, threads) for file in files}
        made.append({seq_len: sessions[subject.file(seq_len)] for seq_len in seq_lens})
    return made[::-1] if reverse else made


def _open_one(subject: Subject, file: Path, provider: Provider, threads: int) -> Session:
    return runtime_named(subject.runtime).open_session(file, provider, threads, subject.library)


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
    if not 0 < precision < 1:
        raise PerfUsageError(f"--precision is {precision}; expected a share of the median such as 0.02")
    if not 0 < budget_s < float("inf"):
        raise PerfUsageError(f"--budget is {budget_s}; expected seconds per cell such as 10")


def _inspect(subject: Subject, file: Path, provider: Provider, threads: int) -> _Inspected:
    runtime, session = runtime_named(subject.runtime), _open_one(subject, file, provider, threads)
    return _Inspected(declared_inputs(session), runtime.placement(session), runtime.describe(session))


def _lengths(
    asked: Sequence[int] | None, subjects: Sequence[Subject], inspected: Sequence[Mapping[Path, _Inspected]]
) -> tuple[int, ...]:
    if asked is not None:
        return tuple(dict.fromkeys(asked))
    fixed = {
        subject.name: length
        for subject, files in zip(subjects, inspected, strict=True)
        if not subject.by_length and (length := fixed_seq_len(files[subject.path].declared)) is not None
    }
    if len(set(fixed.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in fixed.items())
        raise PerfUsageError(f"the models take different fixed lengths ({found}); expected one: bench them apart")
    made_for = next((tuple(subject.by_length) for subject in subjects if subject.by_length), SEQ_LENS)
    return (next(iter(fixed.values())),) if fixed else made_for


def _describe(
    subject: Subject, inspected: _Inspected, arguments: Arguments, far: float | None, error: float | None
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
    )
    if subject.by_length:
        notes = (*notes, f"has a file of its own for each length; the one for {longest} tokens stands in the table")
    placed = inspected.placed
    return SubjectReport(subject.name, describe(file), needs, placed, far, error, inspected.runtime, notes)
