"""Evaluation of embeddings: retrieval of paragraphs for questions, and similarities of pairs of texts (STS)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mbert_onnx.bundles.types import Progress
from mbert_onnx.errors import UsageError
from mbert_onnx.training.data.custom import Columns, read_custom
from mbert_onnx.training.data.example import Split
from mbert_onnx.training.data.retrieval import RetrievalSet
from mbert_onnx.training.evaluation.evaluated_model import EvaluatedModel
from mbert_onnx.training.evaluation.measures import evaluation_of, score_of, share_of, times_of
from mbert_onnx.training.evaluation.result import Evaluation, Score, Standing
from mbert_onnx.training.evaluation.scores.glue_metrics import pearson, spearman
from mbert_onnx.training.evaluation.vectors import Vectors, vectors_of

RETRIEVAL, STS = "retrieval", "sts"
EMBEDDING_TASKS = (RETRIEVAL, STS)

# Recall counts a question if its paragraph is among the first k.
RECALLS = (1, 5, 10)
# Questions whose similarities with all paragraphs are in memory at once.
QUESTIONS_AT_ONCE = 1024
# The columns of STS-B's files.
PAIR_COLUMNS = Columns(text="sentence1", pair="sentence2", label="score", regression=True)


@dataclass(frozen=True)
class Ranking:
    """Result of a search.

    Args:
        ranks: For each question the place of its paragraph, from 1. Paragraphs of equal similarity come before it, so
            that a model with the same vector for all texts finds nothing.
        first: For each question the number of the paragraph that comes first.
    """

    ranks: np.ndarray
    first: np.ndarray

    def values(self) -> dict[str, np.ndarray]:
        """Returns a value of each question by metric: recall as 0 or 1, and the reciprocal of the rank."""
        return {**{f"recall@{k}": self.ranks <= k for k in RECALLS}, "mrr": 1 / self.ranks}


@dataclass(frozen=True)
class Measured:
    """Scores of a model, their differences to the first model's, the agreement with it, and the value of each text."""

    scores: dict[str, Score]
    differences: dict[str, Score]
    agreement: float
    by_text: dict[str, tuple[float, ...]] = field(default_factory=dict)


def ranking_of(questions: np.ndarray, paragraphs: np.ndarray, relevant: np.ndarray) -> Ranking:
    """Ranks the paragraphs for each question by the cosine of their vectors.

    Args:
        questions: Vectors of length 1, ``[questions, hidden]``.
        paragraphs: Vectors of length 1, ``[paragraphs, hidden]``.
        relevant: The number of the paragraph of each question, ``[questions]``.
    """
    ranks, first = [], []
    for start in range(0, len(questions), QUESTIONS_AT_ONCE):
        part = slice(start, start + QUESTIONS_AT_ONCE)
        cosines = questions[part] @ paragraphs.T
        own = np.take_along_axis(cosines, relevant[part, None], axis=1)
        # Not smaller, so that NaN comes first, too.
        ranks.append((~(cosines < own)).sum(axis=1))
        first.append(cosines.argmax(axis=1))
    return Ranking(np.concatenate(ranks), np.concatenate(first))


def read_pairs(data: str | Path, columns: Columns | None) -> Split:
    """Reads the pairs of a `.tsv`, `.csv` or `.jsonl` with their similarities. Raises the errors of `read_custom`."""
    columns = replace(columns or PAIR_COLUMNS, regression=True, labels=None, above=None)
    if columns.pair is None or columns.label is None:
        raise UsageError("sts needs the columns of two texts and their similarity; name them with --pair and --label")
    part, name = ("all", "all rows") if columns.every is None else ("held_out", "held out")
    return read_custom(Path(data), columns, name, part=part)


def on_retrieval(
    models: Sequence[EvaluatedModel],
    data: str | Path,
    searched: RetrievalSet,
    first: int | None,
    threads: int,
    seed: int,
    report: Progress,
) -> Evaluation:
    """Measures recall@1, 5 and 10 and the mean reciprocal rank.

    Intervals are over paragraphs with their questions, because questions about one paragraph are not independent.
    """
    questions, relevant = searched.questions[:first], searched.relevant[:first]
    found = [_vectors(model, [*searched.paragraphs, *questions], report) for model in models]
    count = len(searched.paragraphs)
    rankings = [ranking_of(one.values[count:], one.values[:count], relevant) for one in found]
    values = [ranking.values() for ranking in rankings]
    measured = [
        Measured(
            {name: _mean_over(each, relevant, seed) for name, each in one.items()},
            {name: _mean_over(each - values[0][name].astype(float), relevant, seed) for name, each in one.items()},
            float((ranking.first == rankings[0].first).mean()),
            {name: tuple((each * 1.0).tolist()) for name, each in one.items()},
        )
        for one, ranking in zip(values, rankings, strict=True)
    ]
    standings = _standings(models, found, measured, threads, seed, report)
    notes = [
        *searched.notes,
        f"{count:,} paragraphs are searched; intervals are over paragraphs, whose questions are not independent",
    ]
    read = count + len(questions)
    return evaluation_of(RETRIEVAL, data, searched.split, len(questions), standings, notes, threads, read=read)


def on_similarity(
    models: Sequence[EvaluatedModel],
    data: str | Path,
    pairs: Split,
    first: int | None,
    threads: int,
    seed: int,
    report: Progress,
) -> Evaluation:
    """Measures Spearman's correlation between the cosines of pairs and their similarities."""
    examples = list(pairs.examples)[:first]
    texts = dict.fromkeys(text for one in examples for text in (one.text, one.pair or ""))
    numbers = {text: number for number, text in enumerate(texts)}
    left = np.array([numbers[one.text] for one in examples])
    right = np.array([numbers[one.pair or ""] for one in examples])
    labels = np.array([one.label for one in examples], dtype=np.float64)
    found = [_vectors(model, list(numbers), report) for model in models]
    cosines = [(one.values[left] * one.values[right]).sum(axis=1, dtype=np.float64) for one in found]
    base = cosines[0]

    def correlation(one: np.ndarray) -> Score:
        return score_of(lambda at: spearman(labels[at], one[at]), len(labels), seed)

    def difference(one: np.ndarray) -> Score:
        return score_of(lambda at: spearman(labels[at], one[at]) - spearman(labels[at], base[at]), len(labels), seed)

    measured = [
        Measured({"spearman": correlation(one)}, {"spearman": difference(one)}, pearson(base, one)) for one in cosines
    ]
    standings = _standings(models, found, measured, threads, seed, report)
    return evaluation_of(STS, data, pairs.name, len(labels), standings, list(pairs.notes), threads, read=len(numbers))


def _vectors(model: EvaluatedModel, texts: Sequence[str], report: Progress) -> Vectors:
    report(f"{model.name}: {len(texts):,} texts")
    return vectors_of(model, texts)


def _mean_over(values: np.ndarray, groups: np.ndarray, seed: int) -> Score:
    """Returns the mean of a value of each question, with the bootstrap interval over groups of questions.

    The interval of a recall of 0 or 1, of which all resamples are equal, is Wilson's.
    """
    sums, counts = np.bincount(groups, values), np.bincount(groups)
    sums, counts = sums[counts > 0], counts[counts > 0]
    if values.dtype == bool and (values.all() or not values.any()):
        score = share_of(sums > 0)
    else:
        score = score_of(lambda at: float(sums[at].sum() / counts[at].sum()), len(counts), seed)
    return score


def _standings(
    models: Sequence[EvaluatedModel],
    found: Sequence[Vectors],
    measured: Sequence[Measured],
    threads: int,
    seed: int,
    report: Progress,
) -> list[Standing]:
    """Returns the result of each model; the first has no agreement, differences and cosine with itself."""
    times = times_of(models, [one.rows for one in found], threads, seed, report)
    standings = []
    for number, (model, one, scores, time) in enumerate(zip(models, found, measured, times, strict=True)):
        standings.append(
            Standing(
                model=model.name,
                scores=scores.scores,
                agreement=scores.agreement if number else None,
                differences=scores.differences if number else {},
                ms=time.mean_ms,
                ms_low=time.low_ms,
                ms_high=time.high_ms,
                cut=one.cut,
                by_text=scores.by_text,
                cosine=_mean_cosine(found[0].values, one.values) if number else None,
            )
        )
    return standings


def _mean_cosine(first: np.ndarray, this: np.ndarray) -> float | None:
    """Returns the mean cosine of vectors of length 1; None if their sizes differ."""
    if first.shape != this.shape:
        return None
    return float((first * this).sum(axis=1, dtype=np.float64).mean())
