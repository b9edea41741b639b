"""Job with one row per choice: which choice follows a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import Any

import numpy as np

from mbert_onnx.errors import MbertError
from mbert_onnx.runtime.answers import choose
from mbert_onnx.runtime.jobs.arguments import check_choices
from mbert_onnx.runtime.jobs.batching import RowBatch
from mbert_onnx.runtime.jobs.job import RowJob, Work
from mbert_onnx.text.encoder import Row
from mbert_onnx.text.many_texts import attempted, ids_of

# The choices of a prompt, their rows, and whether any of those was truncated.
Prepared = tuple[Sequence[str], list[Row], bool]


class ChoiceWork(Work):
    """Work on prompts with choices. Takes what was prepared for each input, or its error."""

    def __init__(self, prepared: Sequence[Prepared | MbertError]) -> None:
        self._prepared = prepared
        rows = chain.from_iterable(one[1] for one in prepared if not isinstance(one, MbertError))
        super().__init__(list(rows), ["logits"])
        self._logits = np.empty(len(self.rows), np.float32)

    def take(self, batch: RowBatch) -> None:
        [logits] = batch.values
        self._logits[batch.numbers] = logits[: len(batch.numbers)]

    def finish(self) -> list[Any]:
        logits = iter(self._logits)
        return [
            one
            if isinstance(one, MbertError)
            else choose(np.array(list(islice(logits, len(one[1])))), one[0], truncated=one[2])
            for one in self._prepared
        ]


class Choose(RowJob):
    """Job of `Model.choose`; inputs are (prompt, choices)."""

    def prepare(self, inputs: Sequence[tuple[Any, ...]]) -> Work:
        errors = [attempted(check_choices, choices) for _, choices in inputs]
        groups = [[] if error else list(choices) for error, (_, choices) in zip(errors, inputs, strict=True)]
        prompts = ids_of(self.model.encoder, [prompt for prompt, _ in inputs], "prompt")
        ids = iter(ids_of(self.model.encoder, list(chain.from_iterable(groups)), "choice"))
        return ChoiceWork(
            [
                attempted(self._rows, error or prompt, choices, *islice(ids, len(choices)))
                for error, prompt, choices in zip(errors, prompts, groups, strict=True)
            ]
        )

    def _rows(self, prompt: list[int], choices: list[str], *choice_ids: list[int]) -> Prepared:
        found = [self.model.encoder.truncated_row(prompt, ids) for ids in choice_ids]
        return choices, [row for row, _ in found], any(cut for _, cut in found)
