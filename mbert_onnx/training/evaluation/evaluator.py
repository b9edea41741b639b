"""`evaluate`: scores of models on labelled texts, differences between them, and their time per text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from mbert_onnx.benchmark.options import checked_names
from mbert_onnx.bundles.types import Progress
from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.native_kernels import AUTO, library_for
from mbert_onnx.runtime.size_limits import check_threads
from mbert_onnx.text.tasks import QUESTION_ANSWERING, SENTENCE_SIMILARITY, TEXT_CLASSIFICATION, Task
from mbert_onnx.training.data.custom import CUSTOM_TASKS, Columns, read_custom
from mbert_onnx.training.data.example import Split
from mbert_onnx.training.data.glue import TASKS, glue_task
from mbert_onnx.training.data.retrieval import read_retrieval
from mbert_onnx.training.data.source import glue_split, squad_questions
from mbert_onnx.training.data.squad import VERSIONS, Question
from mbert_onnx.training.evaluation.classification import logits_of, predictions_of, rows_of
from mbert_onnx.training.evaluation.embeddings import (
    EMBEDDING_TASKS,
    RETRIEVAL,
    on_retrieval,
    on_similarity,
    read_pairs,
)
from mbert_onnx.training.evaluation.evaluated_model import EvaluatedModel, ModelOpener
from mbert_onnx.training.evaluation.measures import evaluation_of, mean_of, score_of, share_of, times_of
from mbert_onnx.training.evaluation.questions import answers_of
from mbert_onnx.training.evaluation.result import Evaluation, Score, Standing
from mbert_onnx.training.evaluation.scores import squad_metrics as squad_scores
from mbert_onnx.training.evaluation.scores.glue_metrics import METRICS, pearson
from perf.results.file_writer import write_json

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
    """Measures models on labelled texts: scores, agreement with the first model, and time per text.

    Args:
        models: Checkpoints, which run in torch, and all models that `bench` takes: bundles, `native:` and `portable:`
            files, `int8:CHECKPOINT` and others. All are compared with the first.
        task: Task of GLUE, `squad`, `squad_v2`, `classification` or `regression` for a custom file, or, for models of
            embeddings, `retrieval` (questions against paragraphs) or `sts` (pairs of texts with a similarity).
        data: GLUE's folder, SQuAD's file, a custom file, or `hub`.
        split: Split of GLUE or the hub.
        columns: Columns of a custom file. For `retrieval` the default is `Columns(text="question", pair="context",
            label=None)`, for `sts` `Columns(text="sentence1", pair="sentence2", label="score", regression=True)`.
        first: Number of texts to use, from the first on; default: all. For `retrieval` the number of questions; all
            paragraphs are searched.
        max_length: Largest number of tokens in a row; default: the model's own limit, 384 for SQuAD.
        threads: Threads per model.
        kernels: `auto`, `native` or `portable`, as in `bench`.
        seed: Random seed of resampling, of the order in which models are timed, and of the built-in random models.
        json: File to write the result to.
        progress: Called with a line at the start of each stage.

    Returns one evaluation per split: two for MNLI, else one. Raises UsageError for invalid arguments, DataError for
    texts that cannot be read, PerfError if `json` cannot be written, and any error of opening a model.
    """
    names = checked_names(models, json=json)
    if first is not None and first < 1:
        raise UsageError(f"--first is {first}; expected at least 1")
    check_threads(threads)
    library_for(kernels)
    report = progress or (lambda _: None)
    report(f"reading {data}")
    with ExitStack() as stack:
        opener = ModelOpener(
            stack,
            task=_task_of_models(task),
            max_length=max_length or (SQUAD_LENGTH if task in VERSIONS else None),
            threads=threads,
            kernels=kernels,
            seed=seed,
            progress=report,
        )
        found: list[Evaluation] = []
        if task in VERSIONS:
            questions = squad_questions(task, data, split)[:first]
            opened = [opener.open(name) for name in names]
            found.append(_on_questions(opened, task, data, split, questions, threads, seed, report))
        elif task == RETRIEVAL:
            searched = read_retrieval(data, split, columns)
            opened = [opener.open(name) for name in names]
            found.append(on_retrieval(opened, data, searched, first, threads, seed, report))
        elif task in EMBEDDING_TASKS:
            pairs = read_pairs(data, columns)
            opened = [opener.open(name) for name in names]
            found.append(on_similarity(opened, data, pairs, first, threads, seed, report))
        else:
            splits = _splits(task, data, split, columns)
            opened = [opener.open(name) for name in names]
            for part in splits:
                found.append(_on_labels(opened, task, data, part, first, threads, seed, report))
    if json is not None:
        write_json(Path(json), [one.as_dict() for one in found])
    return found


def _task_of_models(task: str) -> Task:
    if task in EMBEDDING_TASKS:
        return SENTENCE_SIMILARITY
    return QUESTION_ANSWERING if task in VERSIONS else TEXT_CLASSIFICATION


def _splits(task: str, data: str | Path, split: str, columns: Columns | None) -> list[Split]:
    if task in CUSTOM_TASKS:
        chosen = columns or Columns(regression=task == "regression")
        part = "all" if chosen.every is None else "held_out"
        return [read_custom(Path(data), chosen, "held out" if chosen.every else "all rows", part=part)]
    if task not in TASKS:
        known = ", ".join((*TASKS, *VERSIONS, *CUSTOM_TASKS, *EMBEDDING_TASKS))
        raise UsageError(f"unknown task {task!r}; expected one of {known}")
    glue = glue_task(task)
    names = glue.validations if split == "validation" else [split]
    splits = [glue_split(glue, data, name) for name in names]
    for one in splits:
        if not one.is_labelled:
            raise UsageError(
                f"{task}'s {one.name} has no labels to evaluate with; finetune --leaderboard writes predictions for it"
            )
    return splits


def _on_labels(
    models: Sequence[EvaluatedModel],
    task: str,
    data: str | Path,
    split: Split,
    first: int | None,
    threads: int,
    seed: int,
    report: Progress,
) -> Evaluation:
    examples = list(split.examples)[:first]
    labels = np.array([example.label for example in examples], dtype=np.float64)
    metrics = glue_task(task).metrics if task in TASKS else ("spearman", "pearson") if split.labels is None else None
    if metrics is None:
        metrics = ("accuracy", "f1") if len(split.labels or ()) == 2 else ("accuracy",)
    rows, predictions, cuts = [], [], []
    for model in models:
        report(f"{model.name}: {len(examples)} texts")
        read, cut = rows_of(model, examples)
        rows.append(read)
        cuts.append(cut)
        predictions.append(predictions_of(model, logits_of(model, read), split.labels))
    times = times_of(models, rows, threads, seed, report)
    count = len(labels)

    def measured(name: str, predicted: np.ndarray) -> Score:
        if name == "accuracy":
            return share_of(predicted == labels)
        return score_of(lambda at: METRICS[name](labels[at], predicted[at]), count, seed)

    def compared(name: str, predicted: np.ndarray) -> Score:
        metric, first_predicted = METRICS[name], predictions[0]
        return score_of(
            lambda at: metric(labels[at], predicted[at]) - metric(labels[at], first_predicted[at]), count, seed
        )

    standings = [
        Standing(
            model=model.name,
            scores={name: measured(name, predicted) for name in metrics},
            agreement=None if number == 0 else _agreement(predictions[0], predicted, split.labels),
            differences={} if number == 0 else {name: compared(name, predicted) for name in metrics},
            ms=times[number].mean_ms,
            ms_low=times[number].low_ms,
            ms_high=times[number].high_ms,
            cut=cuts[number],
            by_text={"accuracy": tuple(map(int, predicted == labels))} if "accuracy" in metrics else {},
        )
        for number, (model, predicted) in enumerate(zip(models, predictions, strict=True))
    ]
    return evaluation_of(task, data, split.name, len(examples), standings, list(split.notes), threads)


def _on_questions(
    models: Sequence[EvaluatedModel],
    task: str,
    data: str | Path,
    split: str,
    questions: Sequence[Question],
    threads: int,
    seed: int,
    report: Progress,
) -> Evaluation:
    rows, answers = [], []
    for model in models:
        report(f"{model.name}: {len(questions)} questions")
        by_id, read = answers_of(model, questions, may_be_impossible=VERSIONS[task] == 2)
        answers.append([by_id[question.id] for question in questions])
        rows.append(read)
    times = times_of(models, rows, threads, seed, report)
    measures = {"exact_match": squad_scores.exact_match, "f1": squad_scores.f1}
    # For each model the value of each question, by metric.
    values = [
        {
            name: np.array([measure(text, one.answers) for text, one in zip(texts, questions, strict=True)])
            for name, measure in measures.items()
        }
        for texts in answers
    ]
    standings = [
        Standing(
            model=model.name,
            scores={
                "exact_match": share_of(values[number]["exact_match"]),
                "f1": mean_of(values[number]["f1"], seed),
            },
            agreement=None
            if number == 0
            else float(np.mean([one == other for one, other in zip(answers[0], answers[number], strict=True)])),
            differences={}
            if number == 0
            else {name: mean_of(values[number][name] - values[0][name], seed) for name in measures},
            ms=times[number].mean_ms,
            ms_low=times[number].low_ms,
            ms_high=times[number].high_ms,
            cut=0,
            by_text={name: tuple(values[number][name].tolist()) for name in measures},
        )
        for number, model in enumerate(models)
    ]
    return evaluation_of(task, data, split, len(questions), standings, [], threads)


def _agreement(first: np.ndarray, this: np.ndarray, labels: tuple[str, ...] | None) -> float:
    return pearson(first, this) if labels is None else float((first == this).mean())
