"""`mbert.WordLabels` and `mbert.Entities` against the runtime, on the same logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answer_functions import Rows, answered, random_text, rows_of, same_scores, small_encoder

from graphs.functions.answers.entities import EntityNames, entities
from graphs.functions.answers.word_labels import Unit, word_labels
from graphs.model.opsets import OLDEST_OPSET
from mbert_onnx.runtime.entities import Aggregation, TokenEntity, group_tokens, label_tokens, label_words

AGGREGATIONS: dict[Aggregation, Unit] = {"simple": "token", "first": "first", "max": "max"}
SCHEMES = {
    "IOB2": "O B-PER I-PER B-LOC I-LOC",
    "IOB1, other order": "I-PER B-PER O I-LOC",
    "no prefix": "NOUN VERB O",
    "without O": "NOUN VERB",
    "BILOU": "O B-PER I-PER L-PER U-PER",
    "strange": "B-O O I-O O-PER B- I- -",
}
rng = np.random.default_rng(1)
TEXTS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "one token": (["x"], {}),
    "one window": ([random_text(rng, 12)], {}),
    "windows": ([random_text(rng, 40)], {"max_seq_len": 16, "stride": 5}),
    "windows side by side": ([random_text(rng, 40)], {"max_seq_len": 11, "stride": 0}),
    "texts": ([random_text(rng, n) for n in (30, 1, 12)], {"max_seq_len": 16, "stride": 7, "padding": 3}),
}


def runtime_tokens(rows: Rows, logits: np.ndarray, labels: list[str]) -> list[list[TokenEntity]]:
    """Of each text, what `Model.tag` makes of its windows."""
    found = []
    for text, tokens in enumerate(rows.tokens):
        parts = [logits[row][window.owned] for row, window in zip(rows.of_text(text), rows.windows[text], strict=True)]
        config = {"id2label": dict(enumerate(labels))}
        found.append(label_tokens(np.concatenate(parts), tokens, config, unknown_token="[UNK]", first_index=1))
    return found


def compare(found: dict[str, np.ndarray], names: list[str], expected: list[list[Any]], rows: Rows, prefix: str) -> None:
    """Labels, scores and spans in bytes, of all texts."""
    texts, spans, scores = found[f"{prefix}texts"], found[f"{prefix}spans"], found[f"{prefix}scores"]
    numbers = found["entities" if prefix else "labels"]
    flat = [(text, entity) for text, entities_of_text in enumerate(expected) for entity in entities_of_text]
    assert texts.tolist() == [text for text, _ in flat]
    label = "entity_group" if prefix else "entity"
    assert [names[number] for number in numbers] == [getattr(entity, label) for _, entity in flat]
    bytes_of = [rows.bytes_of(text) for text in range(len(rows.tokens))]
    expected_spans = [[bytes_of[text][entity.start], bytes_of[text][entity.end]] for text, entity in flat]
    assert spans.tolist() == expected_spans
    same_scores(scores, [entity.score for _, entity in flat])


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("name", TEXTS)
def test_words_and_entities_are_the_runtime_s(name: str, aggregation: Aggregation, tmp_path: Path) -> None:
    encoder = small_encoder(tmp_path)
    texts, options = TEXTS[name]
    rows = rows_of(encoder, texts, **options)
    words = word_labels(AGGREGATIONS[aggregation], OLDEST_OPSET)
    for scheme, scale in zip(SCHEMES.values(), (3, 0, 1, 1, 3, 1), strict=True):
        labels = scheme.split()
        names = EntityNames.of(labels)
        # Tokens of the same kind have equal probabilities; a scale of 0 makes those of all labels equal.
        kinds = rng.normal(size=(5, len(labels))).astype(np.float32) * np.float32(scale)
        logits = kinds[rng.integers(5, size=rows.shape)]
        found = answered(words, {**rows.arrays, "logits": logits})
        expected = runtime_tokens(rows, logits, labels)
        if aggregation != "simple":
            pairs = zip(expected, rows.tokens, strict=True)
            expected = [label_words(part, tokens.words, encoder.join, aggregation) for part, tokens in pairs]
        compare(found, labels, expected, rows, "")
        grouped = answered(entities(names, OLDEST_OPSET), found)
        compare(grouped, list(names.names), [group_tokens(part, encoder.join) for part in expected], rows, "entity_")


@pytest.mark.parametrize("unit", ["token", "first", "max"])
def test_a_row_without_tokens_has_no_labels(unit: Unit) -> None:
    feed = {
        "logits": np.ones((1, 2, 3), np.float32),
        "offsets": np.zeros((1, 2, 2), np.int32),
        "word_offsets": np.zeros((1, 2, 2), np.int32),
        "owned": np.zeros((1, 2), bool),
        "row_texts": np.zeros(1, np.int32),
    }
    found = answered(word_labels(unit, OLDEST_OPSET), feed)
    assert {name: array.shape for name, array in found.items()} == {
        "labels": (0,),
        "scores": (0,),
        "spans": (0, 2),
        "texts": (0,),
    }
    grouped = answered(entities(EntityNames.of(["O", "B-PER", "I-PER"]), OLDEST_OPSET), found)
    assert [array.size for array in grouped.values()] == [0, 0, 0, 0]


def test_names_of_entities() -> None:
    names = EntityNames.of(["O", "B-PER", "I-PER", "E-PER", "B-LOC"])
    assert names.names == ("PER", "LOC")
    assert names.entities == (-1, 0, 0, 0, 1)
    assert names.begins == (0, 1, 0, 0, 1)
    assert names.kinds[1] == names.kinds[2] != names.kinds[3]
