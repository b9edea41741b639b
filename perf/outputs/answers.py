"""Outputs of the models on the benchmark's inputs, computed once before any timing, and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from perf.outputs.difference import difference
from perf.outputs.float_reference import error_seq_len, reference_error
from perf.outputs.measure import Measure
from perf.outputs.non_finite import non_finite
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
        non_finite: The lengths at which an output is NaN or infinite, by its name.
    """

    feed: Feed
    short: Outputs
    padded: Outputs | None
    error: float | None
    cpu_difference: float | None
    non_finite: dict[str, tuple[int, ...]] = field(default_factory=dict)

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

    Every length is run, since a model may overflow at the longest alone.

    Raises PerfError if the model does not run.
    """
    shortest, measured_at = min(feeds), error_seq_len([*feeds])
    broken: dict[str, tuple[int, ...]] = {}
    compared: Outputs = {}
    short: Outputs = {}
    # From the longest to the shortest, whose session then also runs the texts with padding.
    lengths = sorted(feeds, reverse=True)
    opened = subject.file(lengths[0])
    session = opener.open(subject, opened, provider, threads)
    for seq_len in lengths:
        if subject.file(seq_len) != opened:
            opened = subject.file(seq_len)
            session = opener.open(subject, opened, provider, threads)
        short = first_run(subject.name, session, feeds[seq_len])
        if seq_len == measured_at:
            compared = short
        for name in non_finite(short, feeds[seq_len]):
            broken[name] = (seq_len, *broken.get(name, ()))
    halves = half_padded(feeds[shortest])
    padded = None if halves is None else first_run(subject.name, session, halves)
    on_cpu = None
    if provider.ort_name != CPU.ort_name and subject.runtime == ONNXRUNTIME:
        near = opener.open(subject, subject.file(shortest), CPU, threads)
        on_cpu = difference(short, first_run(subject.name, near, feeds[shortest]), feeds[shortest], measure)
    error = None
    if subject.reference is not None and measure is not None:
        error = reference_error(subject.reference, compared, feeds[measured_at], measure)
    return Answers(feeds[shortest], short, padded, error, on_cpu, broken)
