"""Job of masks: the best tokens for each mask of texts that are read in windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.answers import FilledMask, filled_mask, softmax
from mbert_onnx.runtime.jobs.arguments import FILL_TOP_K, expect_positive
from mbert_onnx.runtime.jobs.job import RowJob, RowModel, TextWindows, WindowWork, Work
from mbert_onnx.text.encoder import Tokens
from mbert_onnx.text.many_texts import attempted, tokens_of


class _MaskedText(TextWindows):
    """A text with masks, and the best tokens for each of them; only windows that own one are run."""

    def __init__(self, tokens: Tokens, job: Fill) -> None:
        encoder = job.model.encoder
        mask_id = encoder.mask_id
        self._masks = [place for place, token in enumerate(tokens.ids) if token == mask_id]
        if not self._masks:
            raise UsageError(f"The text has no {encoder.mask_token}. Put one where a token is missing.")
        self._tokens = tokens
        self._job = job
        windows = encoder.windows_of_ids(tokens.ids, stride=job.stride)
        owned = [[mask for mask in self._masks if one.owned_from <= mask < one.owned_to] for one in windows]
        self.windows = [window for window, masks in zip(windows, owned, strict=True) if masks]
        self._owned = [masks for masks in owned if masks]
        self._filled: dict[int, FilledMask] = {}

    def take(self, place: int, parts: list[np.ndarray]) -> None:
        [logits] = parts
        window, tokens = self.windows[place], self._tokens
        for mask in self._owned[place]:
            scores = softmax(logits[mask - window.first + window.begin])
            self._filled[mask] = filled_mask(
                self._job.model.encoder, tokens.text, tokens.offsets[mask], scores, self._job.top_k
            )

    def finish(self) -> list[FilledMask]:
        return [self._filled[mask] for mask in self._masks]


class Fill(RowJob):
    """Job of `Model.fill`; inputs are (text,)."""

    def __init__(self, model: RowModel, *, top_k: int = FILL_TOP_K, stride: int | None = None) -> None:
        expect_positive(top_k=top_k)
        super().__init__(model)
        self.top_k = top_k
        self.stride = stride

    def prepare(self, inputs: Sequence[tuple[Any, ...]]) -> Work:
        tokens = tokens_of(self.model.encoder, [text for (text,) in inputs])
        return WindowWork([attempted(_MaskedText, one, self) for one in tokens], [self.model.task.outputs[0].name])
