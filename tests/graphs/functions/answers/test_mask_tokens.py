"""`mbert.MaskTokens` against the runtime, on the same logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answer_functions import answered, random_text, rows_of, same_scores, small_encoder

from graphs.functions.answers.mask_tokens import mask_tokens
from graphs.model.opsets import OLDEST_OPSET
from mbert_onnx.runtime.answers import best, softmax

rng = np.random.default_rng(2)
VOCABULARY = 40
LONG = f"{random_text(rng, 15)} [MASK] {random_text(rng, 9)} [MASK] [MASK]{random_text(rng, 15)}[MASK]"
CASES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "one mask": (["a [MASK]"], {}),
    "only a mask": (["[MASK]"], {}),
    "no mask": (["a b"], {}),
    "windows": ([LONG], {"max_seq_len": 15, "stride": 6}),
    "texts": ([LONG, "東京 [MASK]", "x"], {"max_seq_len": 15, "stride": 3, "padding": 2}),
}


@pytest.mark.parametrize("top_k", [1, 5, VOCABULARY, 1000])
@pytest.mark.parametrize("name", CASES)
def test_tokens_of_masks_are_the_runtime_s(name: str, top_k: int, tmp_path: Path) -> None:
    encoder = small_encoder(tmp_path)
    texts, options = CASES[name]
    rows = rows_of(encoder, texts, **options)
    logits = np.round(rng.normal(size=(*rows.shape, VOCABULARY)) * 2, 1).astype(np.float32)
    feed = {**rows.arrays, "logits": logits, "top_k": np.int64(top_k)}
    found = answered(mask_tokens(encoder.mask_id, OLDEST_OPSET), feed)
    expected = []
    for text, tokens in enumerate(rows.tokens):
        for mask in (place for place, token in enumerate(tokens.ids) if token == encoder.mask_id):
            for row, window in zip(rows.of_text(text), rows.windows[text], strict=True):
                if window.owned_from <= mask < window.owned_to:
                    scores = softmax(logits[row][mask - window.first + window.begin])
                    expected.append((text, rows.bytes_of(text)[list(tokens.offsets[mask])], scores))
    assert found["texts"].tolist() == [text for text, *_ in expected]
    assert found["spans"].tolist() == [span.tolist() for _, span, _ in expected]
    assert found["tokens"].shape == found["scores"].shape == (len(expected), min(top_k, VOCABULARY))
    for tokens, scores, (_, _, probabilities) in zip(found["tokens"], found["scores"], expected, strict=True):
        assert tokens.tolist() == best(probabilities, top_k)
        same_scores(scores, probabilities[tokens])
