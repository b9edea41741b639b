"""Scores, intervals and times of an evaluation, and the result made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mbert_onnx.bundles.types import Progress
from mbert_onnx.text.encoder import Row
from mbert_onnx.training.evaluation.evaluated_model import EvaluatedModel
from mbert_onnx.training.evaluation.result import Evaluation, Score, Standing
from mbert_onnx.training.evaluation.scores.intervals import interval, share_interval
from mbert_onnx.training.evaluation.scores.paper_figures import published
from perf.machine.machine import machine, now
from perf.timing.texts.padding import Reading, TextTimes, time_texts

# Texts that are timed, at equal distances: each costs seven runs of every model.
TIMED_TEXTS = 50


def score_of(statistic: Callable[[np.ndarray], float], count: int, seed: int) -> Score:
    """Returns a score of `count` texts, with its bootstrap interval; see `interval`."""
    low, high = interval(statistic, count, seed) or (None, None)
    return Score(statistic(np.arange(count)), low, high)


def share_of(right: np.ndarray) -> Score:
    """Returns the share of true values, with Wilson's interval."""
    return Score(float(right.mean()), *share_interval(int(right.sum()), len(right)))


def mean_of(values: np.ndarray, seed: int) -> Score:
    """Returns the mean of a value of each text, with its bootstrap interval."""
    return score_of(lambda at: float(values[at].mean()), len(values), seed)


def times_of(
    models: Sequence[EvaluatedModel], rows: Sequence[Sequence[Row]], threads: int, seed: int, report: Progress
) -> Sequence[TextTimes]:
    """Measures the time per text of each model, in turns, on the same texts at equal distances."""
    readings = []
    for model, read in zip(models, rows, strict=True):
        chosen = [
            read[number * len(read) // min(TIMED_TEXTS, len(read))] for number in range(min(TIMED_TEXTS, len(read)))
        ]
        readings.append(Reading(model.name, model.session, [model.runner.feed([row]) for row in chosen]))
    return time_texts(readings, source="", threads=threads, seed=seed, progress=report).rows


def evaluation_of(
    task: str,
    data: str | Path,
    split: str,
    texts: int,
    standings: list[Standing],
    notes: list[str],
    threads: int,
    *,
    read: int | None = None,
) -> Evaluation:
    """Returns the result, with a note for each model that truncated some of the texts that it read.

    `read` is the number of these where it is another one than that of the texts with a score.
    """
    for standing in standings:
        if standing.cut:
            share = f"{standing.cut:,} of {read or texts:,} texts"
            notes.append(f"{standing.model}: {share} exceed the model's length and were truncated")
    return Evaluation(
        task=task,
        data=str(data),
        split=split,
        texts=texts,
        standings=standings,
        paper=published(task),
        notes=notes,
        date=now(),
        machine=machine().cpu,
        threads=threads,
    )
