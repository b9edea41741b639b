"""Jobs with one row and a few logits per text: labels, and whether a second text follows the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mbert_onnx.errors import MbertError
from mbert_onnx.runtime.answers import NextSentence, classify_rows, next_sentence
from mbert_onnx.runtime.jobs.arguments import expect_positive
from mbert_onnx.runtime.jobs.batching import RowBatch
from mbert_onnx.runtime.jobs.job import RowJob, RowModel, Work, merged
from mbert_onnx.text.encoder import Row, check_text
from mbert_onnx.text.many_texts import attempted, truncated_rows

Prepared = Sequence[tuple[Row, bool] | MbertError]


class LogitsWork(Work):
    """Work on rows with one vector of logits each.

    Args:
        prepared: For each input its row and whether that was truncated, or its error.
        output_name: The output with the logits.
        results: Makes the results of all texts from their logits `[texts, labels]` and from which were truncated.
    """

    def __init__(
        self, prepared: Prepared, output_name: str, results: Callable[[np.ndarray, list[bool]], list[Any]]
    ) -> None:
        good = [one for one in prepared if not isinstance(one, MbertError)]
        super().__init__([row for row, _ in good], [output_name])
        self._prepared = prepared
        self._truncated = [truncated for _, truncated in good]
        self._results = results
        self._logits: np.ndarray | None = None

    def take(self, batch: RowBatch) -> None:
        [logits] = batch.values
        if self._logits is None:
            self._logits = np.empty((len(self.rows), *logits.shape[1:]), np.float32)
        self._logits[batch.numbers] = logits[: len(batch.numbers)]

    def finish(self) -> list[Any]:
        results = [] if self._logits is None else self._results(self._logits, self._truncated)
        return merged(self._prepared, results)


class Classify(RowJob):
    """Job of `Model.classify`; inputs are (text, pair or None)."""

    def __init__(self, model: RowModel, *, top_k: int | None = None) -> None:
        if top_k is not None:
            expect_positive(top_k=top_k)
        super().__init__(model)
        self._top_k = top_k

    def prepare(self, inputs: Sequence[tuple[Any, ...]]) -> Work:
        texts, pairs = zip(*inputs, strict=True)
        return LogitsWork(truncated_rows(self.model.encoder, texts, pairs), "logits", self._results)

    def _results(self, logits: np.ndarray, truncated: list[bool]) -> list[Any]:
        return classify_rows(logits, self.model.config, top_k=self._top_k, truncated=truncated)


class JudgeNextSentence(RowJob):
    """Job of `Model.next_sentence`; inputs are (text, pair)."""

    def prepare(self, inputs: Sequence[tuple[Any, ...]]) -> Work:
        texts, pairs = zip(*inputs, strict=True)
        # None is no pair for a classification, and no text here.
        errors = [attempted(check_text, pair, "second text") for pair in pairs]
        rows = truncated_rows(self.model.encoder, texts, pairs)
        prepared = [error if isinstance(error, MbertError) else row for error, row in zip(errors, rows, strict=True)]
        return LogitsWork(prepared, self.model.task.outputs[-1].name, _judged)


def _judged(logits: np.ndarray, truncated: list[bool]) -> list[NextSentence]:
    return [next_sentence(row, truncated=cut) for row, cut in zip(logits, truncated, strict=True)]
