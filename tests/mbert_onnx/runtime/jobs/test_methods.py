"""Methods with lists, and streams: the results of single texts, in their order, and errors that name the text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from mbert_onnx.errors import BundleError, MbertError, UsageError
from mbert_onnx.runtime.answers import as_json
from mbert_onnx.runtime.jobs import methods
from mbert_onnx.runtime.jobs.arguments import METHODS
from mbert_onnx.runtime.jobs.statistics import BatchStatistics
from mbert_onnx.runtime.loading import load
from mbert_onnx.runtime.model import Model

Bundles = Callable[..., Any]

SHORT, OTHER = "Ada wrote the first program in London.", "Grace found a moth!"
LONG = "Ada wrote the first program for the engine; grace built a compiler in New York, unbelievably. " * 3
TEXTS = [SHORT, LONG, OTHER, "Paris", SHORT, LONG[20:]]
MASKED = [text.replace("the", "[MASK]").replace("moth", "[MASK]").replace("Paris", "[MASK]") for text in TEXTS]
NER = {"id2label": {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}}

# For each task: the config of its model, the first arguments, and the second ones if it has two.
INPUTS: dict[str, tuple[dict[str, Any], list[Any], list[Any] | None]] = {
    "text-classification": ({"num_labels": 3}, TEXTS, TEXTS[::-1]),
    "next-sentence-prediction": ({}, TEXTS, TEXTS[::-1]),
    "multiple-choice": ({}, TEXTS, [[SHORT, OTHER], [OTHER, "moth", LONG], *[["a", "b"]] * 4]),
    "question-answering": ({}, ["Who wrote it?", "Where?", "Who found a moth?"] * 2, TEXTS),
    "token-classification": (NER, TEXTS, None),
    "fill-mask": ({}, MASKED, None),
    "feature-extraction": ({}, TEXTS, None),
}


def plain(result: Any) -> Any:
    """A result as its JSON is read."""
    return json.loads(json.dumps(as_json(result)))


def near(result: Any) -> Any:
    """A result with approximate numbers."""
    if isinstance(result, dict):
        return {key: near(value) for key, value in result.items()}
    if isinstance(result, list | tuple):
        return [near(value) for value in result]
    return pytest.approx(result, rel=1e-4, abs=1e-5) if isinstance(result, float) else result


@pytest.mark.parametrize("task", INPUTS)
def test_a_list_has_the_results_of_its_texts(
    task: str, runtime_bundle: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "WINDOW", 4)
    config, *columns = INPUTS[task]
    model = load(runtime_bundle(task, **config).folder)
    method = getattr(model, METHODS[task])
    given = [column for column in columns if column is not None]
    inputs = list(zip(*given, strict=True))
    expected = [plain(method(*arguments)) for arguments in inputs]
    assert plain(method(*given)) == near(expected)
    assert plain(method(*map(tuple, given))) == near(expected)
    streamed = model.stream(iter(inputs), window=4)
    assert isinstance(streamed, Iterator)
    assert [plain(result) for result in streamed] == near(expected)
    assert len(method(*[[] for _ in given])) == 0
    # One second argument for all.
    if len(given) == 2:
        first, second = given[0][:2], given[1][0]
        assert plain(method(first, second)) == near([plain(method(one, second)) for one in first])


def test_one_question_for_many_contexts(runtime_bundle: Bundles) -> None:
    model = load(runtime_bundle("question-answering").folder)
    assert plain(model.answer("Who?", TEXTS)) == near([plain(model.answer("Who?", text)) for text in TEXTS])
    assert model.run("Who?", context=TEXTS[:2]) == model.answer("Who?", TEXTS[:2])
    with pytest.raises(
        UsageError, match=r"^There are 2 of question and 3 of context; expected as many of each, or one"
    ):
        model.answer(["Who?", "Where?"], TEXTS[:3])


@pytest.fixture
def classifier(runtime_bundle: Bundles) -> Model:
    return load(runtime_bundle("text-classification", num_labels=3).folder)


@pytest.mark.parametrize("bad", ["", None, "\ud800", "\u200b", b"a"])
def test_a_text_that_cannot_be_read_is_named(classifier: Model, bad: Any) -> None:
    with pytest.raises(UsageError) as alone:
        classifier.classify(bad)
    texts: list[str] = [SHORT, OTHER, bad, SHORT]
    with pytest.raises(UsageError) as caught:
        classifier.classify(texts)
    assert str(caught.value) == f"text 2: {alone.value}"
    streamed = classifier.stream(texts, window=2)
    assert [next(streamed).truncated for _ in range(2)] == [False, False]
    with pytest.raises(UsageError, match=r"^text 2: The text "):
        next(streamed)


def test_each_text_has_its_result_or_its_error(classifier: Model) -> None:
    statistics = BatchStatistics()
    found = classifier.try_many([SHORT, " ", (OTHER, SHORT), (1, 2, 3), OTHER], statistics=statistics, top_k=1)
    assert [plain(one) for one in (found[0], found[2], found[4])] == near(
        [plain(classifier.classify(*one, top_k=1)) for one in ((SHORT,), (OTHER, SHORT), (OTHER,))]
    )
    messages = [str(one) for one in found if isinstance(one, MbertError)]
    assert messages[0].startswith("The text is empty")
    assert messages[1] == "The input is a tuple of 3; expected a tuple of text and pair. Give that for each text."
    assert statistics.texts == 5
    assert statistics.rows == 3
    assert 3 < statistics.tokens <= statistics.padded_tokens
    assert min(statistics.tokenizing, statistics.batching, statistics.model, statistics.finishing) > 0
    assert (statistics + statistics).tokens == 2 * statistics.tokens


def test_inputs_and_options_of_another_method(classifier: Model, runtime_bundle: Bundles) -> None:
    with pytest.raises(UsageError, match=r"^--normalize is not an option of `classify`, which has top_k; leave it out"):
        classifier.stream(TEXTS, normalize=True)
    with pytest.raises(UsageError, match=r"^window is 0; expected a whole number from 1 on"):
        classifier.stream(TEXTS, window=0)
    for one in (SHORT, 5):
        for method in (classifier.stream, classifier.try_many):
            with pytest.raises(UsageError, match=r"^The inputs are one (str|int); expected a list or an iterator"):
                method(one)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"of type ndarray, expected str\. Give list\(text\) for many"):
        classifier.classify(np.array(TEXTS))  # type: ignore[call-overload]
    answerer = load(runtime_bundle("question-answering").folder)
    with pytest.raises(UsageError, match=r"^text 0: The input is one str; expected a tuple of question and context"):
        next(answerer.stream(["Who?"]))


def test_a_stream_takes_no_more_than_it_gives(classifier: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def texts() -> Iterator[str]:
        for text in TEXTS * 100:
            taken.append(text)
            yield text

    assert next(classifier.stream(texts(), window=3)).label
    assert len(taken) == 4
    monkeypatch.setattr(methods, "WINDOW_CHARACTERS", len(SHORT) + len(OTHER))
    taken.clear()
    assert next(classifier.stream([SHORT, *texts()])).label
    assert len(classifier.classify([LONG, SHORT, OTHER, LONG])) == 4


def test_embeddings_are_rows_of_an_array(runtime_bundle: Bundles) -> None:
    model = load(runtime_bundle("feature-extraction").folder)
    assert model.embed(TEXTS).shape == (len(TEXTS), 64)
    empty = model.embed([])
    assert (empty.shape, empty.dtype) == ((0, 64), np.float32)


def test_a_session_that_fails_is_no_error_of_a_text(classifier: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def run(self, *_: Any) -> list[np.ndarray]:
            raise RuntimeError("out of memory")

    monkeypatch.setattr(classifier._runner, "_session", Failing())
    with pytest.raises(BundleError, match="out of memory"):
        classifier.try_many(TEXTS)
