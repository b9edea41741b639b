"""Vectors of texts by a model of an evaluation, computed by the job of `Model.embed`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbert_onnx.errors import MbertError
from mbert_onnx.runtime.jobs.embeddings import Embed
from mbert_onnx.runtime.jobs.job import RowModel
from mbert_onnx.text.encoder import Row
from mbert_onnx.text.many_texts import ids_of
from mbert_onnx.training.evaluation.evaluated_model import EvaluatedModel


@dataclass(frozen=True)
class Vectors:
    """Vectors of texts.

    Args:
        values: One vector of length 1 a text, float32 ``[texts, hidden]``.
        rows: The rows that the model read, for the measurement of its time.
        cut: The number of texts that were truncated.
    """

    values: np.ndarray
    rows: Sequence[Row]
    cut: int


def vectors_of(model: EvaluatedModel, texts: Sequence[str]) -> Vectors:
    """Computes the vectors of texts, as `embed` does: a model with settings of sentence-transformers truncates a long
    text, any other reads it in windows.

    Raises the error of the first text that cannot be read.
    """
    parts = RowModel(model.encoder, model.runner, model.task, model.config, model.embedding)
    work = Embed(parts, normalize=True).prepare([(text,) for text in texts])
    for batch in model.batches(work.rows, *work.output_names):
        work.take(batch)
    found = work.finish()
    for one in found:
        if isinstance(one, MbertError):
            raise one
    return Vectors(np.stack(found), work.rows, _truncated(model, texts, work.rows))


def _truncated(model: EvaluatedModel, texts: Sequence[str], rows: Sequence[Row]) -> int:
    """Returns the number of texts with more tokens than their row, which has special tokens, too."""
    if model.embedding is None:
        return 0
    found = ids_of(model.encoder, [model.embedding.prepared(text) for text in texts])
    return sum(len(ids) > row.count for ids, row in zip(found, rows, strict=True))  # type: ignore[arg-type,attr-defined]
