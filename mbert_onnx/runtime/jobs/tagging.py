"""Job of entities: labels of the tokens of texts that are read in windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.entities import (
    AGGREGATIONS,
    Aggregation,
    Entity,
    TokenEntity,
    group_tokens,
    label_tokens,
    label_words,
    without_outside,
)
from mbert_onnx.runtime.jobs.job import RowJob, RowModel, TextWindows, WindowWork, Work
from mbert_onnx.text.encoder import Tokens
from mbert_onnx.text.many_texts import attempted, tokens_of


def check_aggregation(aggregation: str) -> None:
    """Raises UsageError for an aggregation that there is not."""
    if aggregation not in AGGREGATIONS:
        raise UsageError(f"--aggregation is {aggregation}; expected one of {', '.join(AGGREGATIONS)}")


class _TaggedText(TextWindows):
    """A text and the logits of its tokens, each from the window that owns it."""

    def __init__(self, tokens: Tokens, job: Tag) -> None:
        self.windows = job.model.encoder.windows_of_ids(tokens.ids, stride=job.stride)
        self._tokens = tokens
        self._job = job
        self._logits: list[np.ndarray] = [np.empty(0)] * len(self.windows)

    def take(self, place: int, parts: list[np.ndarray]) -> None:
        [logits] = parts
        self._logits[place] = logits[self.windows[place].owned].copy()

    def finish(self) -> list[Entity] | list[TokenEntity]:
        encoder, aggregation = self._job.model.encoder, self._job.aggregation
        entities = label_tokens(
            np.concatenate(self._logits),
            self._tokens,
            self._job.model.config,
            unknown_token=encoder.unknown_token,
            first_index=self.windows[0].begin,
        )
        if aggregation == "none":
            return without_outside(entities)
        if aggregation != "simple":
            entities = label_words(entities, self._tokens.words, encoder.join, aggregation)
        return group_tokens(entities, encoder.join)


class Tag(RowJob):
    """Job of `Model.tag`; inputs are (text,)."""

    def __init__(self, model: RowModel, *, aggregation: Aggregation = "simple", stride: int | None = None) -> None:
        check_aggregation(aggregation)
        super().__init__(model)
        self.aggregation = aggregation
        self.stride = stride

    def prepare(self, inputs: Sequence[tuple[Any, ...]]) -> Work:
        tokens = tokens_of(self.model.encoder, [text for (text,) in inputs])
        return WindowWork([attempted(_TaggedText, one, self) for one in tokens], ["logits"])
