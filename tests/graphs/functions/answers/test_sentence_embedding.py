"""`mbert.SentenceEmbedding` against the runtime, on the same hidden states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answer_functions import answered, random_text, rows_of, small_encoder

from graphs.functions.answers.sentence_embedding import sentence_embedding
from graphs.model.opsets import OLDEST_OPSET
from mbert_onnx.runtime.answers import normalized, pooling_weights

rng = np.random.default_rng(3)
HIDDEN = 24
CASES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "one token": (["x"], {}),
    "padding": ([random_text(rng, 9)], {"padding": 5}),
    "windows": ([random_text(rng, 40)], {"max_seq_len": 16, "stride": 5}),
    "texts": ([random_text(rng, n) for n in (30, 1, 12)], {"max_seq_len": 17, "stride": 8}),
}


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_vectors_are_the_runtime_s(name: str, normalize: bool, tmp_path: Path) -> None:
    texts, options = CASES[name]
    rows = rows_of(small_encoder(tmp_path), texts, **options)
    states = rng.normal(size=(*rows.shape, HIDDEN)).astype(np.float32)
    function = sentence_embedding(OLDEST_OPSET, normalize=normalize)
    (found,) = answered(function, {**rows.arrays, "last_hidden_state": states}).values()
    expected = []
    for text, windows in enumerate(rows.windows):
        weights = [pooling_weights(window, len(windows)) for window in windows]
        pairs = zip(weights, windows, rows.of_text(text), strict=True)
        total = sum(weight @ states[row, : len(window)] for weight, window, row in pairs)
        expected.append((total / sum(weight.sum() for weight in weights)).astype(np.float32))
    vectors = np.stack(expected)
    np.testing.assert_allclose(found, normalized(vectors) if normalize else vectors, atol=1e-6)


@pytest.mark.parametrize("normalize", [False, True])
def test_zeros_and_padding_alone_give_zeros(normalize: bool) -> None:
    feed = {
        "last_hidden_state": np.stack([np.ones((3, 4)), np.zeros((3, 4))]).astype(np.float16),
        "attention_mask": np.array([[0, 0, 0], [1, 1, 1]], np.int32),
        "sequence_ids": np.array([[-1, -1, -1], [-1, 0, -1]], np.int32),
        "owned": np.array([[False] * 3, [False, True, False]]),
        "row_texts": np.array([0, 1], np.int32),
    }
    (found,) = answered(sentence_embedding(OLDEST_OPSET, normalize=normalize), feed).values()
    np.testing.assert_array_equal(found, np.zeros((2, 4), np.float32))
