"""Description of each model before it is timed: its outputs, load time, memory, file and placement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perf.machine.footprint import footprint
from perf.outputs.answers import Answers, ask
from perf.outputs.measure import Measure
from perf.results.model_file import describe as describe_file
from perf.results.report import Arguments, SubjectReport
from perf.sessions.subject import Subject
from perf.timing.inspection import InspectedFile, Inspection
from perf.timing.run import Run


@dataclass(frozen=True)
class Description:
    """A model's outputs, and its report without comparisons."""

    answers: Answers
    report: SubjectReport


def describe(run: Run, inspection: Inspection, measure: Measure | None) -> dict[str, Description]:
    """Runs every model once for its outputs, and measures its load time and memory; by name.

    Args:
        run, inspection: The state and the result of the step before.
        measure: Computes the centred error; None leaves errors and differences out.

    Raises PerfError when no model is left.
    """

    def describe_one(subject: Subject) -> Description:
        run.progress(f"{subject.name}: load time and memory")
        feeds, threads = inspection.feeds[subject.name], inspection.arguments.threads[0]
        answers = ask(subject, run.opener, run.provider, threads, feeds, measure)
        return Description(answers, _report(subject, run, inspection.files[subject.name], inspection.arguments))

    return run.roster.each(describe_one)


def _report(subject: Subject, run: Run, files: Mapping[Path, InspectedFile], arguments: Arguments) -> SubjectReport:
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
        inputs=subject.inputs_at(longest),
        python=run.opener.python(subject, run.provider),
    )
    if subject.by_length:
        notes = (*notes, f"has a file of its own for each length; the one for {longest} tokens stands in the table")
    return SubjectReport(
        subject.name,
        describe_file(file),
        needs,
        files[file].placement,
        runtime=files[file].runtime,
        notes=notes,
        precision=subject.precision,
        layers=subject.layers,
    )
