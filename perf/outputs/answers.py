"""Outputs of the models on the benchmark's inputs, computed once before any timing, and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from perf.outputs.difference import difference
from perf.outputs.float_reference import error_seq_len, reference_error
from perf.outputs.measure import Measure
from perf.providers import CPU, Provider
from perf.sessions.opener import Opener
from perf.sessions.padding import half_mask, half_padded
from perf.sessions.runtimes import ONNXRUNTIME
from perf.sessions.session import first_run
from perf.sessions.subject import Subject
from perf.sessions.types import Feed, Outputs


@dataclass(frozen=True)
class Answers:
    """Outputs of one model by name, and their errors.

    Args:
        feed: The inputs of the shortest length.
        short: The outputs on them.
        padded: The outputs on the same texts with their latter half padded; None where they are too short for that.
        error: The centred error from the float model that it was built from; None where there is none.
        cpu_difference: The centred error from the CPU's outputs for the same file; None on the CPU.
    """

    feed: Feed
    short: Outputs
    padded: Outputs | None
    error: float | None
    cpu_difference: float | None

    def difference(self, first: Answers, measure: Measure | None) -> float | None:
        """Returns the distance of the outputs from those of another model; see `perf.outputs.difference`."""
        return difference(self.short, first.short, self.feed, measure)

    def padded_difference(self, first: Answers, measure: Measure | None) -> float | None:
        """Returns the distance on the padded texts, of real tokens only."""
        if self.padded is None or first.padded is None:
            return None
        # A model without a mask is compared on the same tokens as one that has it.
        return difference(self.padded, first.padded, {**self.feed, "attention_mask": half_mask(self.feed)}, measure)


def ask(
    subject: Subject,
    opener: Opener,
    provider: Provider,
    threads: int,
    feeds: Mapping[int, dict[str, np.ndarray]],
    measure: Measure | None,
) -> Answers:
    """Runs a model once on each input that outputs are compared on.

    Args:
        feeds: Its input for each length in tokens.
        measure: Computes the centred error; None leaves errors and differences out.

    Raises PerfError if the model does not run.
    """
    shortest, measured_at = min(feeds), error_seq_len([*feeds])
    session = opener.open(subject, subject.file(shortest), provider, threads)
    short = first_run(subject.name, session, feeds[shortest])
    halves = half_padded(feeds[shortest])
    padded = None if halves is None else first_run(subject.name, session, halves)
    on_cpu = None
    if provider.ort_name != CPU.ort_name and subject.runtime == ONNXRUNTIME:
        near = opener.open(subject, subject.file(shortest), CPU, threads)
        on_cpu = difference(short, first_run(subject.name, near, feeds[shortest]), feeds[shortest], measure)
    error = None
    if subject.reference is not None and measure is not None:
        outputs = short
        if measured_at != shortest:
            session = opener.open(subject, subject.file(measured_at), provider, threads)
            outputs = first_run(subject.name, session, feeds[measured_at])
        error = reference_error(subject.reference, outputs, feeds[measured_at], measure)
    return Answers(feeds[shortest], short, padded, error, on_cpu)
