"""Benchmark of several models against each other, cell by cell: one cell is one length and one number of threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from perf.errors import PerfUsageError
from perf.machine import machine as host
from perf.outputs.float_reference import error_seq_len
from perf.outputs.measure import Measure
from perf.presentation.warnings import find_warnings
from perf.providers import Provider, resolve
from perf.providers.plugin import imitation
from perf.results.report import Failure, RaggedModel, Report, SubjectReport
from perf.sessions.opener import Opener
from perf.sessions.runtimes import ONNXRUNTIME
from perf.sessions.session import fallback_warning
from perf.sessions.subject import Subject
from perf.sessions.types import Progress, no_progress
from perf.timing.description import Description, describe
from perf.timing.inspection import Inspection, inspect
from perf.timing.options import SEQ_LENS, BenchOptions
from perf.timing.profiling import CountMacs, Profiled, profile
from perf.timing.repetitions import REPETITIONS, Timed, time_all
from perf.timing.roster import Roster
from perf.timing.run import Run
from perf.timing.texts.ragged import with_ragged

__all__ = ["REPETITIONS", "SEQ_LENS", "BenchOptions", "CountMacs", "Subject", "bench"]


def bench(
    subjects: Sequence[Subject],
    options: BenchOptions,
    *,
    measure: Measure | None = None,
    count_macs: CountMacs | None = None,
    failures: Sequence[Failure] = (),
    progress: Progress | None = None,
) -> Report:
    """Times every subject at every length and number of threads, in turns, and compares each with the first.

    Everything is repeated six times with fresh sessions, opened in one order and then in the other, since two
    sessions of the same file already differ by 1 or 2 %. A repetition of a cell is a warm-up, then rounds in which
    every subject runs once; on a ragged batch, its texts one by one, too. Disturbed repetitions are repeated. A model
    that this process's onnxruntime does not run is run by a worker, which times itself.

    A model that fails at any stage is among the report's failures; the others go on. A KeyboardInterrupt ends the
    timing, and the report has the measurements until then.

    Args:
        subjects: The models; the first is the one that the others are compared with.
        options: Lengths, threads and the like.
        measure: Computes the centred error of outputs, from the first model's and from those of a subject's float
            model; None leaves both out.
        count_macs: Counts a file's multiply-accumulates; None leaves them out.
        failures: Failures of models that could not be built, for the report.
        progress: Called with a line at the start of each stage.

    Raises:
        PerfUsageError: subjects without distinct names, or with a vocabulary size below 1.
        PerfError: a provider that cannot be used; no model left, with the last one's error.
        KeyboardInterrupt: before anything was measured.
    """
    _check(subjects)
    start, machine, provider = host.now(), host.machine(), resolve(options.provider)
    with Opener(progress or no_progress) as opener:
        run = Run(provider, Roster(subjects, failures), opener, progress or no_progress)
        inspection = inspect(run, options)
        descriptions = describe(run, inspection, measure)
        inspection, ragged_models = with_ragged(run, inspection, measure)
        timed = time_all(run, inspection)
    profiled = Profiled(_compare(run.roster, descriptions, measure))
    if options.profile and not timed.interrupted:
        cells = timed.cells(run.roster.names, inspection)
        profiled = profile(profiled.reports, run, inspection, count_macs, cells)
    return _report(start, machine, run, inspection, timed, profiled, ragged_models)


def _check(subjects: Sequence[Subject]) -> None:
    if not subjects:
        raise PerfUsageError("no model given; expected one or more .onnx files")
    names = [subject.name for subject in subjects]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PerfUsageError(f"two models are called {twice!r}; expected a name of its own for each: rename one")
    for subject in subjects:
        if subject.vocab_size is not None and subject.vocab_size < 1:
            raise PerfUsageError(f"the vocabulary size of {subject.name} is {subject.vocab_size}; expected at least 1")


def _compare(roster: Roster, descriptions: Mapping[str, Description], measure: Measure | None) -> list[SubjectReport]:
    """Returns the reports of the models left, with differences from the first unless that has an error of its own."""
    first = descriptions[roster.names[0]].answers if roster.subjects[0].reference is None else None
    reports = []
    for answers, report in ((descriptions[name].answers, descriptions[name].report) for name in roster.names):
        report = replace(
            report,
            error=answers.error,
            cpu_difference=answers.cpu_difference,
            non_finite=answers.non_finite,
        )
        if first is not None and answers is not first:
            report = replace(
                report,
                difference=answers.difference(first, measure),
                padded_difference=answers.padded_difference(first, measure),
            )
        reports.append(report)
    return reports


def _report(
    start: str,
    machine: host.Machine,
    run: Run,
    inspection: Inspection,
    timed: Timed,
    profiled: Profiled,
    ragged_models: Sequence[RaggedModel],
) -> Report:
    arguments, names = inspection.arguments, run.roster.names
    cells, ragged = timed.cells(names, inspection), timed.ragged_cells(names, inspection)
    ragged_models = [model for model in ragged_models if model.name in names]
    interrupted = timed.interrupted or profiled.interrupted
    return Report(
        date=start,
        arguments=arguments,
        machine=machine,
        software=host.software(),
        other_cores=timed.other_cores,
        subjects=tuple(profiled.reports),
        cells=cells,
        warnings=(
            *inspection.notes,
            *_provider_warnings(run.provider, run.roster, profiled.reports),
            *find_warnings(
                machine,
                arguments,
                timed.other_cores,
                (*cells, *ragged),
                profiled.reports,
                timed.speed_check_ms,
                interrupted=interrupted,
                ragged_models=ragged_models,
            ),
        ),
        error_seq_len=error_seq_len(arguments.seq_lens),
        speed_check_ms=tuple(timed.speed_check_ms),
        failures=tuple(run.roster.failures),
        peaks=profiled.peaks,
        interrupted=interrupted,
        ragged=ragged,
        ragged_models=tuple(ragged_models),
    )


def _provider_warnings(provider: Provider, roster: Roster, reports: Sequence[SubjectReport]) -> list[str]:
    """Warns of a simulated device, and of each model of which the provider took only a part."""
    warnings = []
    if stand_in := imitation(provider):
        warnings.append(
            f"{provider.name} is {stand_in} here: its milliseconds are no measurement of the device; the nodes that it "
            "took, and what it computed, are the device's"
        )
    for subject, report in zip(roster.subjects, reports, strict=True):
        if subject.runtime == ONNXRUNTIME and (text := fallback_warning(report.name, provider, report.placement)):
            warnings.append(text)
    return warnings
