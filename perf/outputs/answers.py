"""What models answer: asked once for each input, before anything is timed, and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from perf.outputs.difference import difference
from perf.outputs.float_reference import Measure, error_seq_len, reference_error
from perf.providers import CPU, Provider
from perf.sessions.opener import Opener
from perf.sessions.padding import half_padded, real_part
from perf.sessions.runtimes import ONNXRUNTIME
from perf.sessions.session import first_run
from perf.sessions.subject import Subject

Outputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Answers:
    """Of one model, outputs by name.

    Args:
        short: At the shortest length.
        padded: The same with padding, of real tokens only; None where it does not take that.
        error: How far it is from the float model that it was made from; None where there is none.
        cpu_difference: How far it is from the CPU's outputs for the same file; None on the CPU.
    """

    short: Outputs
    padded: Outputs | None
    error: float | None
    cpu_difference: float | None

    def difference(self, first: Answers) -> float | None:
        """How far the outputs are from another model's."""
        return difference(self.short, first.short)

    def padded_difference(self, first: Answers) -> float | None:
        """The same on padded texts."""
        if self.padded is None or first.padded is None:
            return None
        return difference(self.padded, first.padded)


def ask(
    subject: Subject,
    opener: Opener,
    provider: Provider,
    threads: int,
    feeds: Mapping[int, Outputs],
    measure: Measure | None,
) -> Answers:
    """A model's answers.

    Args:
        feeds: Its input for each length in tokens.
        measure: How far outputs are apart; None leaves the error out.

    Raises PerfError where it does not run.
    """
    shortest, measured_at = min(feeds), error_seq_len([*feeds])
    session = opener.open(subject, subject.file(shortest), provider, threads)
    short = first_run(subject.name, session, feeds[shortest])
    halves = half_padded(feeds[shortest])
    padded = None if halves is None else real_part(first_run(subject.name, session, halves), shortest)
    on_cpu = None
    if provider.ort_name != CPU.ort_name and subject.runtime == ONNXRUNTIME:
        near = opener.open(subject, subject.file(shortest), CPU, threads)
        on_cpu = difference(short, first_run(subject.name, near, feeds[shortest]))
    error = None
    if subject.reference is not None and measure is not None:
        outputs = short
        if measured_at != shortest:
            session = opener.open(subject, subject.file(measured_at), provider, threads)
            outputs = first_run(subject.name, session, feeds[measured_at])
        error = reference_error(subject.reference, outputs, feeds[measured_at], measure)
    return Answers(short, padded, error, on_cpu)
