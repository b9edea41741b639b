"""Job of embeddings: the vector that a file computes, or the mean of the hidden states of a text read in windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mbert_onnx.runtime.answers import normalized, pooling_weights
from mbert_onnx.runtime.jobs.job import RowJob, RowModel, TextWindows, WindowWork, Work
from mbert_onnx.text.encoder import Window, check_text
from mbert_onnx.text.many_texts import attempted, ids_of
from mbert_onnx.text.sentence_embedding import VECTOR
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY


class _PooledText(TextWindows):
    """A text and the weighted sum of its hidden states."""

    def __init__(self, windows: Sequence[Window], normalize: bool) -> None:
        self.windows = windows
        self._normalize = normalize
        self._sum: Any = 0.0
        self._mass = 0.0

    def take(self, place: int, parts: list[np.ndarray]) -> None:
        [states] = parts
        weights = pooling_weights(self.windows[place], len(self.windows))
        self._sum = self._sum + weights @ states
        self._mass += weights.sum()

    def finish(self) -> np.ndarray:
        vector: np.ndarray = (self._sum / self._mass).astype(np.float32)
        return normalized(vector) if self._normalize else vector


class _OwnVector(TextWindows):
    """A text in one row, and the vector that the file computes of it."""

    def __init__(self, windows: Sequence[Window], normalize: bool) -> None:
        self.windows = windows
        self._normalize = normalize
        self._vector = np.zeros(0, np.float32)

    def take(self, place: int, parts: list[np.ndarray]) -> None:
        self._vector = np.array(parts[0])

    def finish(self) -> np.ndarray:
        return normalized(self._vector) if self._normalize else self._vector


class Embed(RowJob):
    """Job of `Model.embed`; inputs are (text,), and results are vectors, float32 `[hidden]`."""

    def __init__(self, model: RowModel, *, normalize: bool = False, stride: int | None = None) -> None:
        super().__init__(model)
        # What a file for sentence similarity computes is normalized as its settings say.
        self._has_vectors = model.task is SENTENCE_SIMILARITY and stride is None
        normalizes = model.embedding is not None and model.embedding.normalize and not self._has_vectors
        self._normalize = normalize or normalizes
        self._stride = stride

    def prepare(self, inputs: Sequence[tuple[Any, ...]]) -> Work:
        texts = [text for (text,) in inputs]
        settings = self.model.embedding
        if settings is not None:
            checked = [attempted(check_text, text, "text") for text in texts]
            texts = [one if not isinstance(one, str) else settings.prepared(one) for one in checked]
        ids = ids_of(self.model.encoder, texts)
        output = VECTOR if self._has_vectors else "last_hidden_state"
        return WindowWork([attempted(self._text, one) for one in ids], [output])

    def _text(self, ids: list[int]) -> TextWindows:
        encoder, settings = self.model.encoder, self.model.embedding
        if not self._has_vectors and (settings is None or self._stride is not None):
            return _PooledText(encoder.windows_of_ids(ids, stride=self._stride), self._normalize)
        length = encoder.max_length if settings is None else min(settings.max_seq_length, encoder.max_length)
        # Cut at the model's length: the first window alone.
        windows = encoder.windows_of_ids(ids, max_seq_len=length, stride=0)[:1]
        return (_OwnVector if self._has_vectors else _PooledText)(windows, self._normalize)
