"""`evaluate`: models on labelled texts, and what an export cost of their quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from mbert_onnx.benchmark.options import checked_names
from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.native_kernels import AUTO, library_for
from mbert_onnx.text.encoder import Row
from mbert_onnx.text.tasks import QUESTION_ANSWERING, TEXT_CLASSIFICATION
from mbert_onnx.training.data.custom import OWN, Columns, read_own
from mbert_onnx.training.data.example import Split
from mbert_onnx.training.data.glue import TASKS, glue_task
from mbert_onnx.training.data.source import glue_split, squad_questions
from mbert_onnx.training.data.squad import VERSIONS, Question
from mbert_onnx.training.evaluation.classification import logits_of, predictions_of, rows_of
from mbert_onnx.training.evaluation.contestant import Contestant, Opening
from mbert_onnx.training.evaluation.questions import answers_of
from mbert_onnx.training.evaluation.result import Evaluation, Score, Standing
from mbert_onnx.training.evaluation.scores import squad_metrics as squad_scores
from mbert_onnx.training.evaluation.scores.glue_metrics import METRICS, pearson
from mbert_onnx.training.evaluation.scores.intervals import interval, share_interval
from mbert_onnx.training.evaluation.scores.paper_figures import published
from perf.machine.machine import machine, now
from perf.results.file_writer import write_json
from perf.timing.texts import Reading, TextTimes, time_texts

Progress = Callable[[str], None]

# Texts that are timed, evenly spread over the lengths: each costs seven runs of every model.
TIMED = 50
SQUAD_LENGTH = 384


def evaluate(
    models: str | Path | Sequence[str | Path],
    *,
    task: str,
    data: str | Path,
    split: str = "validation",
    columns: Columns | None = None,
    first: int | None = None,
    max_length: int | None = None,
    threads: int = 1,
    kernels: str = AUTO,
    seed: int = 0,
    json: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """How well models do on labelled texts, how far they agree, and how long a text takes.

    Args:
        models: Checkpoints, which run in torch, and whatever `bench` takes: bundles, `native:` and `portable:` files,
            `int8:CHECKPOINT` … The others are compared with the first.
        task: One of GLUE's, `squad`, `squad_v2`, or `classification` or `regression` for a file of one's own.
        data: GLUE's folder, SQuAD's file, one's own file, or `hub`.
        split: Of GLUE and the hub.
        columns: Where a file of one's own has what.
        first: So many of the texts alone.
        max_length: The most tokens of a row; default: the model's own, 384 for SQuAD.
        threads: How many a model may use.
        kernels: As of `bench`.
        seed: Of resampling, and of built-in random models.
        json: Where to write it all.
        progress: Called with a line at the start of each stage.

    Returns an evaluation for each set of texts: two for MNLI. Raises UsageError for what cannot be meant, DataError for
    texts that cannot be read, PerfError where `json` cannot be written, and whatever opening a model raises.
    """
    names = checked_names(models, json=json)
    if first is not None and first < 1:
        raise UsageError(f"--first is {first}; expected at least 1")
    library_for(kernels)
    tell = progress or (lambda _: None)
    tell(f"reading {data}")
    with ExitStack() as stack:
        opening = Opening(
            stack,
            task=QUESTION_ANSWERING if task in VERSIONS else TEXT_CLASSIFICATION,
            max_length=max_length or (SQUAD_LENGTH if task in VERSIONS else None),
            threads=threads,
            kernels=kernels,
            seed=seed,
            progress=tell,
        )
        found: list[Evaluation] = []
        if task in VERSIONS:
            questions = squad_questions(task, data, split)[:first]
            contestants = [opening.open(name) for name in names]
            found.append(_on_questions(contestants, task, data, split, questions, threads, seed, tell))
        else:
            splits = _splits(task, data, split, columns)
            contestants = [opening.open(name) for name in names]
            for part in splits:
                found.append(_on_labels(contestants, task, data, part, first, threads, seed, tell))
    if json is not None:
        write_json(Path(json), [one.as_dict() for one in found])
    return found


def _splits(task: str, data: str | Path, split: str, columns: Columns | None) -> list[Split]:
    if task in OWN:
        chosen = columns or Columns(regression=task == "regression")
        part = "all" if chosen.every is None else "held_out"
        return [read_own(Path(data), chosen, "held out" if chosen.every else "all rows", part=part)]
    if task not in TASKS:
        known = ", ".join((*TASKS, *VERSIONS, *OWN))
        raise UsageError(f"no task is called {task!r}; expected one of {known}")
    glue = glue_task(task)
    names = glue.validations if split == "validation" else [split]
    splits = [glue_split(glue, data, name) for name in names]
    for one in splits:
        if not one.is_labelled:
            raise UsageError(f"{task}'s {one.name} has no labels to measure by; finetune --leaderboard answers it")
    return splits


def _on_labels(
    contestants: Sequence[Contestant],
    task: str,
    data: str | Path,
    split: Split,
    first: int | None,
    threads: int,
    seed: int,
    tell: Progress,
) -> Evaluation:
    examples = list(split.examples)[:first]
    labels = np.array([example.label for example in examples], dtype=np.float64)
    metrics = glue_task(task).metrics if task in TASKS else ("spearman", "pearson") if split.labels is None else None
    if metrics is None:
        metrics = ("accuracy", "f1") if len(split.labels or ()) == 2 else ("accuracy",)
    rows, predictions, cuts = [], [], []
    for contestant in contestants:
        tell(f"{contestant.name}: {len(examples)} texts")
        read, cut = rows_of(contestant, examples)
        rows.append(read)
        cuts.append(cut)
        predictions.append(predictions_of(contestant, logits_of(contestant, read), split.labels))
    times = _times(contestants, rows, threads, seed, tell)
    count = len(labels)

    def measured(name: str, said: np.ndarray) -> Score:
        if name == "accuracy":
            return _share(said == labels)
        return _score(lambda at: METRICS[name](labels[at], said[at]), count, seed)

    def compared(name: str, said: np.ndarray) -> Score:
        metric, first_said = METRICS[name], predictions[0]
        return _score(lambda at: metric(labels[at], said[at]) - metric(labels[at], first_said[at]), count, seed)

    standings = [
        Standing(
            model=contestant.name,
            scores={name: measured(name, said) for name in metrics},
            agreement=None if number == 0 else _agreement(predictions[0], said, split.labels),
            differences={} if number == 0 else {name: compared(name, said) for name in metrics},
            ms=times[number].mean_ms,
            ms_low=times[number].low_ms,
            ms_high=times[number].high_ms,
            cut=cuts[number],
        )
        for number, (contestant, said) in enumerate(zip(contestants, predictions, strict=True))
    ]
    return _evaluation(task, data, split.name, len(examples), standings, list(split.notes), threads)


def _on_questions(
    contestants: Sequence[Contestant],
    task: str,
    data: str | Path,
    split: str,
    questions: Sequence[Question],
    threads: int,
    seed: int,
    tell: Progress,
) -> Evaluation:
    rows, answers = [], []
    for contestant in contestants:
        tell(f"{contestant.name}: {len(questions)} questions")
        said, read = answers_of(contestant, questions, may_be_impossible=VERSIONS[task] == 2)
        answers.append([said[question.id] for question in questions])
        rows.append(read)
    times = _times(contestants, rows, threads, seed, tell)
    measures = {"exact_match": squad_scores.exact_match, "f1": squad_scores.f1}
    # Of each model, by metric, a value for each question.
    values = [
        {
            name: np.array([measure(text, one.answers) for text, one in zip(said, questions, strict=True)])
            for name, measure in measures.items()
        }
        for said in answers
    ]
    standings = [
        Standing(
            model=contestant.name,
            scores={
                "exact_match": _share(values[number]["exact_match"]),
                "f1": _mean(values[number]["f1"], seed),
            },
            agreement=None
            if number == 0
            else float(np.mean([one == other for one, other in zip(answers[0], answers[number], strict=True)])),
            differences={}
            if number == 0
            else {name: _mean(values[number][name] - values[0][name], seed) for name in measures},
            ms=times[number].mean_ms,
            ms_low=times[number].low_ms,
            ms_high=times[number].high_ms,
            cut=0,
        )
        for number, contestant in enumerate(contestants)
    ]
    return _evaluation(task, data, split, len(questions), standings, [], threads)


def _score(statistic: Callable[[np.ndarray], float], count: int, seed: int) -> Score:
    low, high = interval(statistic, count, seed) or (None, None)
    return Score(statistic(np.arange(count)), low, high)


def _share(right: np.ndarray) -> Score:
    return Score(float(right.mean()), *share_interval(int(right.sum()), len(right)))


def _mean(values: np.ndarray, seed: int) -> Score:
    return _score(lambda at: float(values[at].mean()), len(values), seed)


def _agreement(first: np.ndarray, this: np.ndarray, labels: tuple[str, ...] | None) -> float:
    return pearson(first, this) if labels is None else float((first == this).mean())


def _times(
    contestants: Sequence[Contestant], rows: Sequence[Sequence[Row]], threads: int, seed: int, tell: Progress
) -> Sequence[TextTimes]:
    """What a text takes in each, in turns: of the same texts where they read them as one row each."""
    readings = []
    for contestant, read in zip(contestants, rows, strict=True):
        chosen = [read[number * len(read) // min(TIMED, len(read))] for number in range(min(TIMED, len(read)))]
        readings.append(Reading(contestant.name, contestant.session, [contestant.runner.feed([row]) for row in chosen]))
    return time_texts(readings, source="", threads=threads, seed=seed, progress=tell).rows


def _evaluation(
    task: str,
    data: str | Path,
    split: str,
    texts: int,
    standings: list[Standing],
    notes: list[str],
    threads: int,
) -> Evaluation:
    for standing in standings:
        if standing.cut:
            notes.append(
                f"{standing.model}: {standing.cut} of {texts} texts are longer than it takes, and lost their end"
            )
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
