"""Text files beside the runtime: the same answers from bytes, in one onnxruntime session without a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from text_files import LONG, OTHER, QUESTION, SHORT, TEXTS, TextFile, characters, close

from graphs.functions.answers.label_names import ENTITIES, read_names

NER = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}

Files = Callable[..., TextFile]


@pytest.fixture(scope="module")
def text_file(runtime_bundle: Callable[..., Any]) -> Files:
    """`text_file(task, pair=False, **options of runtime_bundle)`"""

    def make(task: str, pair: bool = False, **options: Any) -> TextFile:
        return TextFile(runtime_bundle(task, **options).folder, pair=pair)

    return make


PROBLEMS: list[dict[str, Any]] = [
    {"num_labels": 3},
    {"num_labels": 2, "problem_type": "multi_label_classification"},
    {"num_labels": 1},
]


@pytest.mark.parametrize("config", PROBLEMS, ids=["softmax", "sigmoid", "regression"])
@pytest.mark.parametrize("pairs", [None, (OTHER, SHORT, LONG)], ids=["one", "pair"])
def test_labels(text_file: Files, config: dict[str, Any], pairs: Any) -> None:
    file = text_file("text-classification", pair=pairs is not None, **config)
    names = read_names(file.file.metadata_props) or []
    for number, text in enumerate(TEXTS):
        pair = {} if pairs is None else {"pair": pairs[number]}
        found, expected = file.run(text, **pair), file.model.classify(text, **pair)
        assert [names[label] for label in found["labels"][0]] == [one.label for one in expected.labels]
        assert found["scores"][0].tolist() == close([one.score for one in expected.labels])
        assert bool(found["cut"].any()) == expected.truncated
        assert found["cut"].shape == (1, 1 + len(pair))


def test_batches_and_the_best_labels(text_file: Files) -> None:
    file = text_file("text-classification", num_labels=3)
    found = file.run(TEXTS, top_k=2)
    for row, text in enumerate(TEXTS):
        alone = file.run(text)
        assert found["labels"][row].tolist() == alone["labels"][0, :2].tolist()
        assert found["scores"][row].tolist() == close(alone["scores"][0, :2].tolist())
    assert file.run(TEXTS, top_k=0)["labels"].shape == (3, 1)
    assert file.run(TEXTS, top_k=9)["labels"].shape == (3, 3)


def test_next_sentence(text_file: Files) -> None:
    file = text_file("next-sentence-prediction")
    expected = file.model.next_sentence(LONG, OTHER)
    found = file.run(LONG, pair=OTHER)
    assert found["scores"][0].tolist() == close([expected.is_next, expected.not_next])
    assert bool(found["cut"].any()) is expected.truncated


def test_choices(text_file: Files) -> None:
    file = text_file("multiple-choice")
    for choices in (TEXTS, TEXTS[:2]):
        expected = {one.index: one.score for one in file.model.choose(QUESTION, choices).choices}
        found = file.run(QUESTION, choices=choices)
        assert found["scores"][0].tolist() == close([expected[number] for number in range(len(choices))])
        assert found["cut"].shape == (len(choices), 2)


@pytest.mark.parametrize("stride", [None, 0, 8])
def test_answers(text_file: Files, stride: int | None) -> None:
    file = text_file("question-answering")
    given: dict[str, Any] = {} if stride is None else {"stride": stride}
    contexts = (LONG, SHORT)
    batch = file.run([QUESTION, OTHER], context=contexts, top_k=4, **given)
    for row, (question, context) in enumerate(zip((QUESTION, OTHER), contexts, strict=True)):
        expected = file.model.answer(question, context, top_k=4, **given)
        found = file.run(question, context=context, top_k=4, **given)
        assert found["cut"].tolist() == [[0, 0]]
        for spans, scores in ((found["spans"][0], found["scores"][0]), (batch["spans"][row], batch["scores"][row])):
            assert [characters(context, span) for span in spans] == [(one.start, one.end) for one in expected]
            assert scores.tolist() == close([one.score for one in expected])


def test_no_answer_is_an_answer_where_asked_for(text_file: Files) -> None:
    file = text_file("question-answering")
    asked = {"top_k": 1000, "longest_answer": 2}
    expected = file.model.answer(QUESTION, SHORT, top_k=1000, max_answer_len=2, handle_impossible_answer=True)
    found = file.run(QUESTION, context=SHORT, allow_no_answer=True, **asked)
    answers = [
        (*characters(SHORT, span), close(float(s)))
        for span, s in zip(found["spans"][0], found["scores"][0], strict=True)
    ]
    assert [(one.start, one.end, one.score) for one in expected] == answers
    [none] = [one for one in expected if not one.answer]
    assert found["no_answer"].tolist() == close([none.score])
    assert len(file.run(QUESTION, context=SHORT, **asked)["spans"][0]) == len(expected) - 1
    assert file.run(QUESTION, context=SHORT)["spans"].shape == (1, 5, 2)


@pytest.mark.parametrize("stride", [None, 7])
def test_entities(text_file: Files, stride: int | None) -> None:
    file = text_file("token-classification", id2label=NER, label2id={name: number for number, name in NER.items()})
    given: dict[str, Any] = {} if stride is None else {"stride": stride}
    batch = file.run(TEXTS, **given)
    names, groups = read_names(file.file.metadata_props), read_names(file.file.metadata_props, ENTITIES)
    assert names is not None
    assert groups == ["PER", "LOC"]
    for number, text in enumerate(TEXTS):
        tokens: Any = file.model.tag(text, aggregation="none", **given)
        entities: Any = file.model.tag(text, **given)
        own = batch["texts"] == number
        labels = [
            (names[label], *characters(text, span))
            for label, span in zip(batch["labels"][own], batch["spans"][own], strict=True)
        ]
        assert [one for one in labels if one[0] != "O"] == [(one.entity, one.start, one.end) for one in tokens]
        own = batch["entity_texts"] == number
        found = [
            (groups[group], *characters(text, span), close(float(score)))
            for group, span, score in zip(
                batch["entities"][own], batch["entity_spans"][own], batch["entity_scores"][own], strict=True
            )
        ]
        assert [(one.entity_group, one.start, one.end, one.score) for one in entities] == found


@pytest.mark.parametrize("task", ["fill-mask", "pretraining"])
def test_masks(text_file: Files, task: str) -> None:
    file = text_file(task)
    texts = [text.replace("wrote", "[MASK]").replace("built", "[MASK]") for text in TEXTS[:2]]
    batch = file.run(texts, top_k=3)
    for number, text in enumerate(texts):
        expected = file.model.fill(text, top_k=3)
        own = batch["texts"] == number
        assert [characters(text, span) for span in batch["spans"][own]] == [(one.start, one.end) for one in expected]
        assert batch["tokens"][own].tolist() == [[token.token for token in one.tokens] for one in expected]
        scores = [token.score for one in expected for token in one.tokens]
        assert batch["scores"][own].ravel().tolist() == close(scores)
    assert file.run(OTHER)["tokens"].shape == (0, 5)


@pytest.mark.parametrize("stride", [None, 7])
def test_embeddings(text_file: Files, stride: int | None) -> None:
    file = text_file("feature-extraction")
    found = file.run(TEXTS, **({} if stride is None else {"stride": stride}))["sentence_embedding"]
    np.testing.assert_allclose(found, file.model.embed(TEXTS, stride=stride), rtol=1e-4, atol=1e-5)


NO_TEXTS = [b"", b"   ", b"\0\0", b"\xff\xfe\x80", b"hi \xf0\x9f", b"a" * 300]
NO_SPLITS = [[], [7], [9, -4, 7, 2], [-(2**63), 2**63 - 1, 0], [0, 0, 0, 0]]
LENGTHS = [-(2**63), -1, 0, 2, 5, 2**63 - 1]


@pytest.mark.parametrize("task", ["question-answering", "multiple-choice"])
def test_every_input_has_a_defined_result(text_file: Files, task: str) -> None:
    file = text_file(task)
    asks = task == "question-answering"
    second, splits = ("context", "context_splits") if asks else ("choices", "choice_splits")
    for number, data in enumerate(NO_TEXTS):
        for other in (b"", NO_TEXTS[number - 1], SHORT.encode()):
            for length in LENGTHS:
                found = file.run(data, length, **{second: other if asks else [other, data]})
                assert np.isfinite(found["scores"]).all()
    for given in NO_SPLITS:
        for others in NO_SPLITS:
            inputs: dict[str, Any] = {second: LONG, splits: np.array(others, np.int64)}
            if asks:
                inputs["row_splits"] = np.array(given, np.int64)
            found = file.run(SHORT, **inputs)
            assert len(found["scores"]) == (max(len(given) - 1, 1) if asks else 1)
            if asks:
                assert (found["spans"] <= len(LONG)).all()


def test_invalid_bytes_are_replaced_characters(text_file: Files) -> None:
    file = text_file("text-classification")
    data = b"ada \xff\xe2\x82 wrote \xf0\x9f\x98"
    expected = file.model.classify(data.decode(errors="replace"))
    assert file.run(data)["scores"][0].tolist() == close([one.score for one in expected.labels])
