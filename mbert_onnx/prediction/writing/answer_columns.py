"""Output columns of each task: the results of a model as the columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mbert_onnx.errors import BundleError
from mbert_onnx.prediction.settings import Settings
from mbert_onnx.runtime.answers import Choices, Classification, FilledMask, NextSentence
from mbert_onnx.runtime.entities import Entity, TokenEntity
from mbert_onnx.runtime.spans import Answer
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Task,
)

SCORE = pa.float64()
PLACE = pa.int64()
ENTITY = [("entity_group", pa.string()), ("score", SCORE), ("word", pa.string()), ("start", PLACE), ("end", PLACE)]
TOKEN_ENTITY = [("entity", pa.string()), ("score", SCORE), ("index", PLACE), *ENTITY[2:]]
FILLED_TOKEN = [("score", SCORE), ("token", PLACE), ("token_str", pa.string()), ("sequence", pa.string())]
FILLED_MASK = [("start", PLACE), ("end", PLACE), ("tokens", pa.list_(pa.struct(FILLED_TOKEN)))]

Results = Sequence[Any]


@dataclass(frozen=True)
class AnswerColumns:
    """The columns of a task's results.

    Args:
        schema: Their names and types.
        arrays: Turns results into the columns' arrays.
    """

    schema: pa.Schema
    arrays: Callable[[Results], list[pa.Array]]

    def table(self, results: Results) -> pa.Table:
        """Returns one row for each result."""
        return pa.Table.from_arrays(self.arrays(results), schema=self.schema)


def answer_columns(task: Task, settings: Settings, sample: Any, labels: Sequence[str]) -> AnswerColumns:
    """Returns the columns of a model's results.

    Args:
        task: The model's.
        settings: Those of the job, with the prefix of the names.
        sample: A result of the model, for the width of embeddings.
        labels: The model's labels, in its order.

    Raises BundleError where two labels have one name, so that they cannot be columns.
    """
    if task is TEXT_CLASSIFICATION:
        fields, arrays = _classification(settings.all_scores, labels)
    elif task is QUESTION_ANSWERING:
        fields, arrays = _answers()
    elif task is TOKEN_CLASSIFICATION:
        kind = TOKEN_ENTITY if settings.options.get("aggregation") == "none" else ENTITY
        fields, arrays = _structs("entities", kind, _entity)
    elif task in (FEATURE_EXTRACTION, SENTENCE_SIMILARITY):
        fields, arrays = _embedding(len(sample))
    elif task is MULTIPLE_CHOICE:
        fields, arrays = _choices(settings.all_scores)
    elif task is NEXT_SENTENCE_PREDICTION:
        fields, arrays = _next_sentence()
    else:
        fields, arrays = _structs("masks", FILLED_MASK, FilledMask.as_dict)
    names = [settings.prefix + name for name, _ in fields]
    return AnswerColumns(pa.schema(list(zip(names, [kind for _, kind in fields], strict=True))), arrays)


Columns = tuple[list[tuple[str, pa.DataType]], Callable[[Results], list[pa.Array]]]


def _classification(all_scores: bool, labels: Sequence[str]) -> Columns:
    fields = [("label", pa.string()), ("score", SCORE)]
    if not all_scores:

        def best(results: Sequence[Classification]) -> list[pa.Array]:
            first = [result.labels[0] for result in results]
            return [pa.array([one.label for one in first], pa.string()), pa.array([one.score for one in first], SCORE)]

        return fields, best
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if list(labels).count(label) > 1)
        raise BundleError(f"the model has two labels called {twice!r}; rename one in its config.json, or omit --all")

    def every(results: Sequence[Classification]) -> list[pa.Array]:
        scores = [{one.label: one.score for one in result.labels} for result in results]
        return [*best_of(results), *(pa.array([one[label] for one in scores], SCORE) for label in labels)]

    best_of = _classification(False, labels)[1]
    return [*fields, *((f"score_{label}", SCORE) for label in labels)], every


def _answers() -> Columns:
    def arrays(results: Sequence[Sequence[Answer]]) -> list[pa.Array]:
        best = [answers[0] if answers else None for answers in results]
        return [pa.array([None if one is None else getattr(one, name) for one in best], kind) for name, kind in fields]

    fields = [("answer", pa.string()), ("score", SCORE), ("start", PLACE), ("end", PLACE)]
    return fields, arrays


def _structs(name: str, kind: Sequence[tuple[str, pa.DataType]], as_dict: Callable[[Any], dict[str, Any]]) -> Columns:
    column = pa.list_(pa.struct(list(kind)))
    return [(name, column)], lambda results: [pa.array([[as_dict(one) for one in items] for items in results], column)]


def _entity(entity: Entity | TokenEntity) -> dict[str, Any]:
    return vars(entity)


def _embedding(width: int) -> Columns:
    def arrays(results: Sequence[np.ndarray]) -> list[pa.Array]:
        numbers = np.concatenate([*results, np.empty(0, np.float32)]).astype(np.float32, copy=False)
        return [pa.FixedSizeListArray.from_arrays(pa.array(numbers, pa.float32()), width)]

    return [("embedding", pa.list_(pa.float32(), width))], arrays


def _choices(all_scores: bool) -> Columns:
    fields = [("choice", pa.string()), ("score", SCORE), *([("scores", pa.list_(SCORE))] if all_scores else [])]

    def arrays(results: Sequence[Choices]) -> list[pa.Array]:
        best = [result.choices[0] for result in results]
        columns = [pa.array([one.choice for one in best], pa.string()), pa.array([one.score for one in best], SCORE)]
        if all_scores:
            given = [sorted(result.choices, key=lambda choice: choice.index) for result in results]
            columns.append(pa.array([[one.score for one in row] for row in given], pa.list_(SCORE)))
        return columns

    return fields, arrays


def _next_sentence() -> Columns:
    def arrays(results: Sequence[NextSentence]) -> list[pa.Array]:
        return [pa.array([getattr(one, name) for one in results], SCORE) for name, _ in fields]

    fields = [("is_next", SCORE), ("not_next", SCORE)]
    return fields, arrays
