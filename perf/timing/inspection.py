"""Inspection: opens every file once, and derives lengths and inputs from what the models declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from perf.errors import PerfUsageError
from perf.results.report import Arguments
from perf.sessions.inputs import (
    DEFAULT_VOCAB_SIZE,
    DeclaredInput,
    declared_inputs,
    fixed_seq_len,
    read_inputs,
    synthesise,
)
from perf.sessions.opener import describe, placement
from perf.sessions.padding import RaggedFeed
from perf.sessions.session import Placement
from perf.sessions.subject import Subject
from perf.sessions.types import Feeds
from perf.timing.options import SEQ_LENS, BenchOptions
from perf.timing.run import Run


@dataclass(frozen=True)
class InspectedFile:
    """One file of a subject: its declared inputs, its placement, and its runtime's name and version."""

    declared: tuple[DeclaredInput, ...]
    placement: Placement
    runtime: str


@dataclass(frozen=True)
class Inspection:
    """Result of the inspection.

    Args:
        arguments: The options after defaults, as the report has them.
        files: The files of each model, by its name and path.
        feeds: The inputs of each model, by its name and by length.
        notes: Lengths that are left out, and why, a line each.
        ragged: The inputs of the ragged batch of each model that takes it, by its name; see
            `perf.timing.texts.ragged`.
    """

    arguments: Arguments
    files: Mapping[str, Mapping[Path, InspectedFile]]
    feeds: Feeds
    notes: tuple[str, ...] = ()
    ragged: Mapping[str, RaggedFeed] = field(default_factory=dict)

    def tokens(self, name: str, seq_len: int) -> int:
        """Returns the number of tokens that a model reads in one run at a length."""
        ids = self.feeds[name][seq_len].get("input_ids")
        return self.arguments.batch * seq_len if ids is None else ids.size


def inspect(run: Run, options: BenchOptions) -> Inspection:
    """Opens every file of every model, and builds the inputs.

    Raises PerfError when no model is left, PerfUsageError where models take no common length.
    """
    files = run.roster.each(lambda subject: _inspect_files(subject, run, options.threads[0]))
    seq_lens, notes = _seq_lens(options.chosen_lengths, run.roster.subjects, files)
    arguments = Arguments(
        provider=run.provider.name,
        seq_lens=seq_lens,
        batch=options.batch,
        threads=tuple(dict.fromkeys(options.threads)),
        precision=options.precision,
        budget_s=options.budget_s,
        seed=options.seed,
        vocab_size=min(subject.vocab_size or DEFAULT_VOCAB_SIZE for subject in run.roster.subjects),
        ragged=options.ragged,
    )
    advice = "pass another --seq-len"
    if options.seq_lens is None and options.ragged:  # the length is that of the longest text
        advice = "pass shorter texts in --ragged, or --seq-len, too"
    feeds = run.roster.each(lambda subject: _feeds(subject, files[subject.name], arguments, advice))
    return Inspection(arguments, files, feeds, notes)


def _inspect_files(subject: Subject, run: Run, threads: int) -> dict[Path, InspectedFile]:
    files = {}
    for file in dict.fromkeys(subject.files):
        session = run.opener.open(subject, file, run.provider, threads)
        files[file] = InspectedFile(declared_inputs(session), placement(subject, session), describe(subject, session))
    return files


def _feeds(
    subject: Subject, files: Mapping[Path, InspectedFile], arguments: Arguments, advice: str
) -> dict[int, dict[str, np.ndarray]]:
    """Returns the inputs of one model by length; `advice` says what to do where it does not take a length."""
    sizes = subject.sizes
    for seq_len in arguments.seq_lens:
        if not subject.by_length and not sizes.takes(seq_len):
            raise PerfUsageError(f"{subject.name} takes {sizes}, not {seq_len}: {advice}")
    if sizes.batch not in (None, arguments.batch):
        raise PerfUsageError(
            f"{subject.name} runs with batch {sizes.batch} only, not {arguments.batch}: pass --batch {sizes.batch}"
        )

    def inputs(seq_len: int) -> dict[str, np.ndarray]:
        file = subject.inputs_at(seq_len)
        if file is not None:
            return read_inputs(file)
        return synthesise(
            subject.name,
            files[subject.file(seq_len)].declared,
            batch=arguments.batch,
            seq_len=seq_len,
            vocab_size=arguments.vocab_size,
            seed=arguments.seed,
        )

    return {seq_len: inputs(seq_len) for seq_len in arguments.seq_lens}


def _seq_lens(
    chosen: Sequence[int] | None, subjects: Sequence[Subject], files: Mapping[str, Mapping[Path, InspectedFile]]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Returns the lengths to measure at, and notes on those that are left out."""
    if chosen is not None:
        return _taken_of(tuple(dict.fromkeys(chosen)), subjects, files)
    fixed = {
        subject.name: length
        for subject in subjects
        if not subject.by_length
        and (length := fixed_seq_len(files[subject.name][subject.path].declared) or subject.sizes.length) is not None
    }
    if len(set(fixed.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in fixed.items())
        raise PerfUsageError(f"the models take different fixed lengths ({found}); expected one: bench them apart")
    if fixed:
        return (next(iter(fixed.values())),), ()
    by_length = next((tuple(subject.by_length) for subject in subjects if subject.by_length), None)
    return (by_length, ()) if by_length is not None else _taken(SEQ_LENS, subjects)


def _taken_of(
    chosen: tuple[int, ...], subjects: Sequence[Subject], files: Mapping[str, Mapping[Path, InspectedFile]]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Returns the chosen lengths that all models take, and notes on the others.

    A model that takes none of them does not count: it is the only one that fails.
    """
    taken = {subject.name: _lengths_of(subject, files[subject.name], chosen) for subject in subjects}
    able = {name: lengths for name, lengths in taken.items() if lengths}
    common = tuple(length for length in chosen if all(length in lengths for lengths in able.values()))
    if not common:
        found = "; ".join(f"{name} {_listed(lengths)}" for name, lengths in able.items())
        raise PerfUsageError(f"no length of --seq-len fits all models ({found}): bench them apart, or pass another")
    notes = [
        f"not measured at {_listed(left_out)} tokens: {name} takes {_listed(lengths)} of --seq-len "
        f"{','.join(map(str, chosen))}"
        for name, lengths in able.items()
        if (left_out := [length for length in chosen if length not in lengths])
    ]
    return common, tuple(notes)


def _lengths_of(subject: Subject, files: Mapping[Path, InspectedFile], chosen: Sequence[int]) -> list[int]:
    """Returns those of the chosen lengths that a model takes."""
    if subject.by_length:
        return [length for length in chosen if length in subject.by_length]
    fixed = fixed_seq_len(files[subject.path].declared)
    return [length for length in chosen if fixed in (None, length) and subject.sizes.takes(length)]


def _listed(lengths: Sequence[int]) -> str:
    return ", ".join(map(str, lengths))


def _taken(seq_lens: Sequence[int], subjects: Sequence[Subject]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Returns the default lengths that all models take, or the longest one that they do; and notes on the others."""
    left_out: dict[str, list[int]] = {}
    for seq_len in seq_lens:
        name = next((subject.name for subject in subjects if not subject.sizes.takes(seq_len)), None)
        if name is not None:
            left_out.setdefault(name, []).append(seq_len)
    sizes = {subject.name: subject.sizes for subject in subjects}
    taken = tuple(length for length in seq_lens if all(one.takes(length) for one in sizes.values()))
    if not taken:
        common = [length for length in range(1, max(seq_lens)) if all(one.takes(length) for one in sizes.values())]
        if not common:
            found = ", ".join(f"{name}: {one}" for name, one in sizes.items())
            raise PerfUsageError(f"no length fits all models ({found}): bench them apart, or pass --seq-len")
        taken = (common[-1],)
    notes = [
        f"not measured at {', '.join(map(str, lengths))} tokens, which are among the default lengths: {name} takes "
        f"{sizes[name]}"
        for name, lengths in left_out.items()
    ]
    return taken, tuple(notes)
