"""Ragged batch: texts of different lengths in one batch, padded to the longest, against the same texts one by one.

Both are timed in the same session and in the same rounds, so that their ratio is what padding and batching cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perf.errors import PerfError
from perf.outputs.difference import difference
from perf.outputs.measure import Measure
from perf.outputs.non_finite import non_finite
from perf.results.report import RaggedCell, RaggedModel, RaggedResult, ragged_text
from perf.sessions.inputs import DeclaredInput, fixed_seq_len, synthesise
from perf.sessions.padding import RaggedFeed, ragged
from perf.sessions.session import Session, Timer, first_run
from perf.sessions.subject import Subject
from perf.sessions.types import Feed, Outputs
from perf.statistics import FEWEST, ratio
from perf.timing.cell import Repetition, failing_as, measurements, named_timer, time_runs
from perf.timing.inspection import Inspection
from perf.timing.run import Run


@dataclass(frozen=True)
class _Tried:
    """Outputs of one model on the batch, and of its texts one by one, padded like the batch."""

    feed: RaggedFeed
    batch: Outputs
    one_by_one: Outputs


def with_ragged(run: Run, inspection: Inspection, measure: Measure | None) -> tuple[Inspection, list[RaggedModel]]:
    """Runs the batch once in every model; adds its inputs to the inspection, and returns the models' outputs.

    A model that does not take the batch, such as one of fixed length, is left out with the reason; no model fails by
    it. Without a ragged batch, returns the inspection as it is and no models.

    Args:
        run, inspection: The state and the inspected models.
        measure: Computes the centred error; None leaves differences out.
    """
    lengths, models, feeds = inspection.arguments.ragged, [], {}
    if not lengths:
        return inspection, []
    first: _Tried | None = None
    for subject in run.roster.subjects:
        run.progress(f"{subject.name}: a batch of {ragged_text(lengths)}")
        try:
            tried = _try(subject, run, inspection)
        except PerfError as error:
            models.append(RaggedModel(subject.name, left_out=str(error)))
            continue
        feeds[subject.name], feed = tried.feed, tried.feed.batch
        is_first = subject is run.roster.subjects[0]
        models.append(
            RaggedModel(
                subject.name,
                difference=None if first is None else difference(tried.batch, first.batch, feed, measure),
                batch_difference=difference(tried.batch, tried.one_by_one, feed, measure),
                non_finite=tuple(non_finite(tried.batch, feed)),
            )
        )
        first = tried if is_first else first
    return replace(inspection, ragged=feeds), models


def _try(subject: Subject, run: Run, inspection: Inspection) -> _Tried:
    """Runs one model on the batch and on its texts. Raises PerfError with the reason where it does not take them."""
    arguments = inspection.arguments
    declared = inspection.files[subject.name][subject.file(max(arguments.seq_lens))].declared
    reason = _why_not(subject, declared, arguments.ragged)
    if reason is not None:
        raise PerfError(reason)
    full = synthesise(
        subject.name,
        declared,
        batch=len(arguments.ragged),
        seq_len=max(arguments.ragged),
        vocab_size=arguments.vocab_size,
        seed=arguments.seed,
    )
    feed = ragged(full, arguments.ragged)
    session = run.opener.open(subject, subject.path, run.provider, arguments.threads[0])
    batch = first_run(subject.name, session, dict(feed.batch))
    texts = [first_run(subject.name, session, dict(text)) for text in feed.texts]
    return _Tried(feed, batch, _stacked(texts, batch))


def _why_not(subject: Subject, declared: Sequence[DeclaredInput], lengths: Sequence[int]) -> str | None:
    """Returns the reason why a model does not take a ragged batch, as far as its inputs show; None where it may."""
    if subject.inputs:
        return "it reads texts, and a ragged batch has token ids: give the model that it was made from"
    if subject.by_length:
        return "it has a file of its own for each length, and a batch has texts of several"
    fixed = fixed_seq_len(declared) or subject.sizes.length
    if fixed is not None:
        return f"it takes texts of {fixed} tokens only"
    if "attention_mask" not in {item.name for item in declared}:
        return "it takes no attention_mask, and would read padding as text"
    sizes = {item.shape[0] for item in declared if item.shape and isinstance(item.shape[0], int)}
    batch = next(iter(sizes), subject.sizes.batch)
    if batch not in (None, len(lengths)):
        return f"it takes {batch} text{'s' if batch != 1 else ''} in a run, not {len(lengths)}"
    refused = next((length for length in lengths if not subject.sizes.takes(length)), None)
    return None if refused is None else f"it takes {subject.sizes}, not {refused}"


def _stacked(texts: Sequence[Outputs], batch: Outputs) -> Outputs:
    """Returns the outputs of single texts as one batch, with zeros after each text; those of other ranks are left out.

    Args:
        texts: The outputs of each text.
        batch: The outputs of the batch, whose shapes the result has.
    """
    found = {}
    for name, value in batch.items():
        parts = [text[name] for text in texts]
        if any(part.ndim != value.ndim or np.any(np.greater(part.shape[1:], value.shape[1:])) for part in parts):
            continue
        stacked = np.zeros_like(value)
        for number, part in enumerate(parts):
            stacked[number : number + 1][tuple(slice(size) for size in part.shape)] = part
        found[name] = stacked
    return found


def repeat_ragged(
    sessions: Mapping[str, Session], feeds: Mapping[str, RaggedFeed], *, precision: float, budget_s: float, seed: int
) -> Repetition:
    """Warms all sessions up, then times each model's batch and its texts one by one, in turns, in the same rounds.

    Raises:
        RunError: a model does not take its feeds, or has died.
    """
    for name, session in sessions.items():
        with failing_as(name):
            for feed in (feeds[name].batch, *feeds[name].texts):
                first_run(name, session, dict(feed))
    batches = [named_timer(name, session, feeds[name].batch) for name, session in sessions.items()]
    sums = [_one_by_one(name, session, feeds[name].texts) for name, session in sessions.items()]
    times_ms, steady, stolen = time_runs([*batches, *sums], precision=precision, budget_s=budget_s, seed=seed)
    count = len(batches)
    both = (whole and parts for whole, parts in zip(steady[:count], steady[count:], strict=True))
    return Repetition(
        dict(zip(sessions, times_ms[:count], strict=True)),
        dict(zip(sessions, both, strict=True)),
        stolen_cores=stolen,
        one_by_one_ms=dict(zip(sessions, times_ms[count:], strict=True)),
    )


def _one_by_one(name: str, session: Session, texts: Sequence[Feed]) -> Timer:
    """Returns a timer of all texts, one after the other; the untimed run before them is of the first text alone."""
    first, *others = [named_timer(name, session, text) for text in texts]

    def timed(after_another: bool) -> int:
        return first(after_another) + sum(run(False) for run in others)

    return timed


def combine_ragged(
    tokens: Mapping[str, int],
    repetitions: Sequence[Repetition],
    *,
    lengths: tuple[int, ...],
    threads: int,
    precision: float,
) -> RaggedCell:
    """Returns the statistics over all repetitions; the arguments are those of `perf.timing.cell.combine`."""
    rounds = tuple(part.rounds for part in repetitions)
    batches = measurements(tokens, repetitions, [part.times_ms for part in repetitions], precision)
    sums = measurements(tokens, repetitions, [part.one_by_one_ms for part in repetitions], precision)
    results = tuple(
        RaggedResult(
            batch.subject,
            batch,
            one_by_one,
            ratio(batch.times_ms, one_by_one.times_ms, rounds) if len(rounds) >= FEWEST else None,
        )
        for batch, one_by_one in zip(batches, sums, strict=True)
    )
    return RaggedCell(lengths, threads, rounds, results)
