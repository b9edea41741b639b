"""The runtime against transformers' own pipelines, on small models exported from the same weights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import pytest
import torch
import transformers
from transformers import BertTokenizerFast, pipeline

from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.runtime.answers import as_json
from mbert_onnx.runtime.jobs.arguments import METHODS
from mbert_onnx.runtime.loading import load, run
from mbert_onnx.runtime.model import Model
from mbert_onnx.text.encoder import Row
from mbert_onnx.text.tasks import TASKS


class Example(Protocol):
    folder: Path
    model: Any


Bundles = Callable[..., Example]

# The pipelines' own, of numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHORT = "Ada wrote the first program in London."
# Words the tokenizer has whole, and words it must cut: "unbelievably" is many tokens.
LONG = (
    "Ada wrote the first program in London for the engine of Charles Babbage. Grace built a compiler in New York, "
    "and unbelievably found a moth in the machine! Alan walked, talked and worked in Manchester on the theory of "
    "machines; the quick brown fox jumps over the lazy dog near the river in Paris. "
) * 2
QUESTION = "Who wrote it?"
NER_LABELS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
NER = {"id2label": NER_LABELS, "label2id": {label: number for number, label in NER_LABELS.items()}}


def close(value: Any) -> Any:
    """Of float32 in two engines; scores are probabilities of random models, far from 0."""
    return pytest.approx(value, rel=1e-4, abs=1e-6)


@pytest.fixture
def squad(runtime_bundle: Bundles) -> Model:
    return load(runtime_bundle("question-answering").folder)


def pipe(task: str, example: Example, tokenizer: BertTokenizerFast, **options: Any) -> Any:
    if task == "question-answering" and transformers.__version__ >= "5":
        pytest.skip("transformers 5 has no question-answering pipeline to compare with")
    make: Any = pipeline  # its overloads are for tasks known beforehand
    return make(task, model=example.model, tokenizer=tokenizer, device="cpu", **options)


def torch_logits(example: Example, row: Row) -> Any:
    with torch.no_grad():
        return example.model(
            input_ids=torch.tensor([row.ids]),
            attention_mask=torch.ones(1, len(row), dtype=torch.int64),
            token_type_ids=torch.tensor([row.type_ids]),
        )


# Question answering


def test_answers_are_those_of_the_pipeline(
    runtime_bundle: Bundles, runtime_tokenizer: BertTokenizerFast, squad: Model
) -> None:
    qa = pipe("question-answering", runtime_bundle("question-answering"), runtime_tokenizer)
    expected = qa(question=QUESTION, context=SHORT, top_k=5, max_seq_len=48)
    answers = squad.answer(QUESTION, SHORT, top_k=5)
    assert [answer.as_dict() for answer in answers] == [{**one, "score": close(one["score"])} for one in expected]
    assert all(SHORT[answer.start : answer.end] == answer.answer for answer in answers)


def test_an_answer_is_no_longer_than_asked(
    runtime_bundle: Bundles, runtime_tokenizer: BertTokenizerFast, squad: Model
) -> None:
    qa = pipe("question-answering", runtime_bundle("question-answering"), runtime_tokenizer)
    expected = qa(question=QUESTION, context=SHORT, top_k=3, max_seq_len=48, max_answer_len=1)
    answers = squad.answer(QUESTION, SHORT, top_k=3, max_answer_len=1)
    assert [answer.as_dict() for answer in answers] == [{**one, "score": close(one["score"])} for one in expected]


@pytest.mark.parametrize(("max_seq_len", "stride"), [(48, 24), (24, 8), (20, 0)])
def test_a_long_context_is_answered_by_the_best_window(
    runtime_bundle: Bundles, runtime_tokenizer: BertTokenizerFast, squad: Model, max_seq_len: int, stride: int | None
) -> None:
    """The pipeline, asked for each of its own windows alone; it cuts words at their edges, so whole ones only."""
    context = "the first program in london for the engine of charles babbage . " * 7
    qa = pipe("question-answering", runtime_bundle("question-answering"), runtime_tokenizer)
    example = qa.create_sample(QUESTION, context)
    best: dict[str, float] = {}
    windows = 0
    for window in qa.preprocess(example, max_seq_len=max_seq_len, doc_stride=stride):
        windows += 1
        for one in qa.postprocess([qa.forward(window)], top_k=5):
            best[one["answer"]] = max(one["score"], best.get(one["answer"], 0.0))
    expected = sorted(best.items(), key=lambda item: -item[1])[:5]
    assert windows > 2

    answers = squad.answer(QUESTION, context, top_k=5, max_seq_len=max_seq_len, stride=stride)

    assert [(answer.answer, answer.score) for answer in answers] == [(text, close(score)) for text, score in expected]
    assert all(context[answer.start : answer.end] == answer.answer for answer in answers)


@pytest.mark.parametrize("context", [SHORT, LONG], ids=["one window", "many"])
def test_no_answer_is_an_answer_where_asked_for(
    runtime_bundle: Bundles, runtime_tokenizer: BertTokenizerFast, squad: Model, context: str
) -> None:
    qa = pipe("question-answering", runtime_bundle("question-answering"), runtime_tokenizer)
    asked: dict[str, Any] = {"question": QUESTION, "context": context, "top_k": 1000, "max_seq_len": 24}
    # Where spans run out the pipeline also gives some of score 0, which end before they begin.
    theirs = qa(**asked, doc_stride=8, handle_impossible_answer=True)
    [expected] = [one for one in theirs if not one["answer"] and one["score"] > 0]
    [none] = [one for one in squad.answer(**asked, stride=8, handle_impossible_answer=True) if not one.answer]
    assert none.as_dict() == {**expected, "score": close(expected["score"])}
    assert all(one.answer for one in squad.answer(**asked))


# Labels


@pytest.mark.parametrize(
    "config", [{"num_labels": 3}, {"num_labels": 3, "problem_type": "multi_label_classification"}], ids=["one", "many"]
)
@pytest.mark.parametrize("pair", [None, "it was built in Paris"])
def test_labels_are_those_of_the_pipeline(
    runtime_bundle: Bundles, runtime_tokenizer: BertTokenizerFast, config: dict[str, Any], pair: str | None
) -> None:
    example = runtime_bundle("text-classification", **config)
    text = {"text": SHORT} if pair is None else {"text": SHORT, "text_pair": pair}
    expected = pipe("text-classification", example, runtime_tokenizer, top_k=None)(text)
    result = load(example.folder).classify(SHORT, pair)
    assert [label.as_dict() for label in result.labels] == [{**one, "score": close(one["score"])} for one in expected]
    assert not result.truncated


def test_a_long_text_is_truncated_and_says_so(runtime_bundle: Bundles, runtime_tokenizer: BertTokenizerFast) -> None:
    example = runtime_bundle("text-classification", num_labels=3)
    classifier = pipe("text-classification", example, runtime_tokenizer, top_k=None)
    expected = classifier({"text": LONG, "text_pair": SHORT}, truncation=True, max_length=48)
    result = load(example.folder).classify(LONG, SHORT, top_k=2)
    assert [label.as_dict() for label in result.labels] == [{**o, "score": close(o["score"])} for o in expected[:2]]
    assert result.truncated


# Tokens


def test_entities_are_those_of_the_pipeline(runtime_bundle: Bundles, runtime_tokenizer: BertTokenizerFast) -> None:
    example = runtime_bundle("token-classification", **NER)
    text = "Ada wrote unbelievably, 漢 in London!"
    model = load(example.folder)
    simple = pipe("ner", example, runtime_tokenizer, aggregation_strategy="simple")(text)
    assert simple
    assert [one.as_dict() for one in model.tag(text)] == [{**one, "score": close(one["score"])} for one in simple]
    none = pipe("ner", example, runtime_tokenizer)(text)
    tokens = model.tag(text, aggregation="none")
    assert [one.as_dict() for one in tokens] == [{**one, "score": close(one["score"])} for one in none]


@pytest.mark.parametrize("aggregation", ["first", "max"])
def test_words_are_labelled_as_in_the_pipeline(
    runtime_bundle: Bundles, runtime_tokenizer: BertTokenizerFast, aggregation: Any
) -> None:
    example = runtime_bundle("token-classification", **NER)
    text = "Ada wrote unbelievably many readings in London!"
    expected = pipe("ner", example, runtime_tokenizer, aggregation_strategy=aggregation)(text)
    found = load(example.folder).tag(text, aggregation=aggregation)
    assert [one.as_dict() for one in found] == [{**one, "score": close(one["score"])} for one in expected]
    words = {(match.start(), match.end()) for match in re.finditer(r"\w+|!", text)}
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    assert all(one.start in starts and one.end in ends for one in found)


@pytest.mark.parametrize("stride", [None, 0, 7])
def test_each_token_of_a_long_text_is_read_in_its_best_window(runtime_bundle: Bundles, stride: int | None) -> None:
    example = runtime_bundle("token-classification", **NER)
    model = load(example.folder)
    tokens, windows = model.tokenizer.windows(LONG, stride=stride)
    assert len(windows) > 3
    expected = []
    for window in windows:
        probabilities = torch_logits(example, window).logits[0].softmax(-1)[window.owned]
        for place, (score, label) in enumerate(zip(*probabilities.max(-1), strict=True)):
            token = window.owned_from + place
            if label:
                expected.append((token + 1, NER_LABELS[int(label)], tokens.offsets[token], close(float(score))))
    found = model.tag(LONG, aggregation="none", stride=stride)
    assert [(one.index, one.entity, (one.start, one.end), one.score) for one in found] == expected  # type: ignore[union-attr]
    assert model.tag(LONG, stride=stride)[-1].end == expected[-1][2][1]


# Masks


@pytest.mark.parametrize("text", ["Ada [MASK] the first program.", "[MASK] wrote the [MASK] program."])
def test_masks_are_filled_as_in_the_pipeline(
    runtime_bundle: Bundles, runtime_tokenizer: BertTokenizerFast, text: str
) -> None:
    example = runtime_bundle("fill-mask")
    expected = pipe("fill-mask", example, runtime_tokenizer)(text, top_k=4)
    expected = expected if isinstance(expected[0], list) else [expected]
    filled = load(example.folder).fill(text, top_k=4)
    assert len(filled) == text.count("[MASK]")
    for mask, tokens in zip(filled, expected, strict=True):
        assert text[mask.start : mask.end] == "[MASK]"
        assert [(one.token, one.token_str, one.score) for one in mask.tokens] == [
            (one["token"], one["token_str"], close(one["score"])) for one in tokens
        ]
        for one in mask.tokens:
            assert one.sequence == (
                text[: mask.start].rstrip() + one.token_str[2:] + text[mask.end :]
                if one.token_str.startswith("##")
                else text[: mask.start] + one.token_str + text[mask.end :]
            )


def test_every_mask_of_a_long_text_is_filled(runtime_bundle: Bundles) -> None:
    example = runtime_bundle("fill-mask")
    model = load(example.folder)
    text = "[MASK] " + LONG.replace(" a ", " [MASK] ")
    _, windows = model.tokenizer.windows(text)
    mask_id = model.tokenizer.mask_id
    expected = []
    for window in windows:
        logits = torch_logits(example, window).logits[0]
        owned = range(len(window))[window.owned]
        expected += [int(logits[place].argmax()) for place in owned if window.ids[place] == mask_id]
    filled = model.fill(text, top_k=1)
    assert len(filled) == text.count("[MASK]") == 5
    assert [mask.tokens[0].token for mask in filled] == expected
    assert [mask.start for mask in filled] == sorted(mask.start for mask in filled)


def test_a_pretraining_model_fills_masks_and_judges_next_sentences(runtime_bundle: Bundles) -> None:
    example = runtime_bundle("pretraining")
    model = load(example.folder)
    assert model.run("Ada [MASK] it.", top_k=1) == model.fill("Ada [MASK] it.", top_k=1)
    row, _ = model.tokenizer.truncated(SHORT, "Grace built a compiler.")
    answer = torch_logits(example, row)
    is_next, not_next = answer.seq_relationship_logits[0].softmax(-1).tolist()
    result = model.next_sentence(SHORT, "Grace built a compiler.")
    assert (result.is_next, result.not_next) == (close(is_next), close(not_next))
    row, _ = model.tokenizer.truncated("Ada [MASK] it.")
    mask = row.ids.index(model.tokenizer.mask_id)
    best = int(torch_logits(example, row).prediction_logits[0, mask].argmax())
    assert model.fill("Ada [MASK] it.")[0].tokens[0].token == best


# Sentences, choices, embeddings


def test_the_next_sentence_is_judged(runtime_bundle: Bundles) -> None:
    example = runtime_bundle("next-sentence-prediction")
    model = load(example.folder)
    row, _ = model.tokenizer.truncated(SHORT, "Grace built a compiler.")
    is_next, not_next = torch_logits(example, row).logits[0].softmax(-1).tolist()
    assert model.run(SHORT, pair="Grace built a compiler.").as_dict() == {
        "is_next": close(is_next),
        "not_next": close(not_next),
        "truncated": False,
    }
    assert model.next_sentence(LONG, SHORT).truncated


@pytest.mark.parametrize("batch", [None, 1, 2], ids=["dynamic", "1x3", "2x3"])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_choices_are_scored_one_by_one_however_they_are_batched(
    runtime_bundle: Bundles, batch: int | None, count: int
) -> None:
    """The fixed graphs take 3 choices at a time: fewer are filled up, more take several runs."""
    example = runtime_bundle("multiple-choice", batch=batch)
    choices = ["in Paris.", "the quick brown fox jumps!", "a moth", "who?", "it was", "Babbage", "the lazy dog"][:count]
    model = load(example.folder)
    logits = []
    for choice in choices:
        row, _ = model.tokenizer.truncated(SHORT, choice)
        with torch.no_grad():
            ids, types = torch.tensor([[row.ids]]), torch.tensor([[row.type_ids]])
            logits.append(example.model(input_ids=ids, token_type_ids=types).logits[0, 0])
    expected = torch.stack(logits).softmax(0).tolist()
    result = model.choose(SHORT, choices)
    assert {one.index: one.score for one in result.choices} == {n: close(score) for n, score in enumerate(expected)}
    assert [one.choice for one in result.choices] == [choices[one.index] for one in result.choices]
    assert [one.score for one in result.choices] == close(sorted(expected, reverse=True))


def test_an_embedding_is_the_mean_over_all_tokens(runtime_bundle: Bundles) -> None:
    example = runtime_bundle("feature-extraction")
    model = load(example.folder)
    texts = [SHORT, "Paris", "the lazy dog " * 5]
    expected = [
        torch_logits(example, model.tokenizer.truncated(text)[0]).last_hidden_state[0].mean(0).numpy() for text in texts
    ]
    vectors = model.embed(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.embed(SHORT), expected[0], rtol=1e-4, atol=1e-5)
    unit = model.embed(texts, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(unit[1], expected[1] / np.linalg.norm(expected[1]), rtol=1e-4, atol=1e-6)


def test_a_long_embedding_counts_overlaps_once(runtime_bundle: Bundles) -> None:
    example = runtime_bundle("feature-extraction")
    model = load(example.folder)
    tokens, windows = model.tokenizer.windows(LONG, stride=9)
    content, special = [], []
    for window in windows:
        states = torch_logits(example, window).last_hidden_state[0].numpy()
        content.append(states[window.owned])
        special.append(states[[0, -1]].sum(0))
    expected = (np.concatenate(content).sum(0) + np.mean(special, axis=0)) / (len(tokens) + 2)
    vectors = model.embed([LONG, SHORT], stride=9)
    np.testing.assert_allclose(vectors[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(vectors[1], model.embed(SHORT), rtol=1e-4, atol=1e-5)


# Graphs of other shapes


def test_fixed_shapes_and_int32_answer_the_same(runtime_bundle: Bundles, squad: Model) -> None:
    """Padded to 32 tokens and filled up to a batch of 3, and as the dynamic model read it, in windows of 32."""
    fixed = load(runtime_bundle("question-answering", batch=3, dtype=torch.int32).folder)
    assert (fixed.inputs.dtype, fixed.inputs.batch, fixed.inputs.sequence) == (np.int32, 3, 32)
    for context in (SHORT, LONG):
        expected = squad.answer(QUESTION, context, top_k=5, max_seq_len=32)
        answers = fixed.answer(QUESTION, context, top_k=5)
        assert [as_json(one) for one in answers] == [{**as_json(one), "score": close(one.score)} for one in expected]
    with pytest.raises(UsageError, match="model takes 1 to 32 tokens"):
        fixed.answer(QUESTION, SHORT, max_seq_len=48)


def test_inputs_that_a_graph_lacks_are_not_fed(runtime_bundle: Bundles) -> None:
    """Without a mask nothing may be padded: rows of different lengths go through one by one."""
    whole = load(runtime_bundle("feature-extraction").folder)
    ids_only = load(runtime_bundle("feature-extraction", inputs=("input_ids",)).folder)
    assert ids_only.inputs.names == ("input_ids",)
    texts = [SHORT, "Paris", LONG, "moth"]
    np.testing.assert_allclose(ids_only.embed(texts), whole.embed(texts), rtol=1e-4, atol=1e-5)


def test_the_raw_call_gives_every_output(runtime_bundle: Bundles) -> None:
    example = runtime_bundle("pretraining")
    row, _ = load(example.folder).tokenizer.truncated(SHORT, SHORT)
    outputs = load(example.folder).logits([row.ids], token_type_ids=[row.type_ids])
    expected = torch_logits(example, row)
    assert list(outputs) == ["prediction_logits", "seq_relationship_logits"]
    for name, values in outputs.items():
        np.testing.assert_allclose(values, expected[name].numpy(), rtol=1e-3, atol=1e-4)


def test_the_raw_call_takes_the_graphs_integers_and_respects_the_mask(runtime_bundle: Bundles) -> None:
    model = load(runtime_bundle("question-answering", batch=3, dtype=torch.int32).folder)
    ids = np.full((3, 32), 7, dtype=np.uint8)
    mask = np.ones((3, 32), dtype=bool)
    mask[:, 5:] = False
    padded = model.logits(ids, mask)["start_logits"]
    ids[:, 20:] = 9  # hidden by the mask
    np.testing.assert_allclose(model.logits(ids, mask)["start_logits"][:, :5], padded[:, :5], rtol=1e-5)
    assert not np.allclose(model.logits(ids)["start_logits"][:, :5], padded[:, :5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 2]],), r"cannot run input_ids of shape \[1, 2\] \(the model's is \[3, 32\]\)"),
        (([[0.5]],), "input_ids is float64"),
        (([[1, 2]], [[1]]), r"attention_mask is int64 of shape \[1, 1\], expected integers of .* \[1, 2\]"),
    ],
)
def test_a_raw_call_of_another_shape_is_told(runtime_bundle: Bundles, arguments: Any, message: str) -> None:
    model = load(runtime_bundle("question-answering", batch=3, dtype=torch.int32).folder)
    with pytest.raises(UsageError, match=message) as caught:
        model.logits(*arguments)
    assert "\n" not in str(caught.value)


def test_several_threads_may_ask_one_model(squad: Model) -> None:
    contexts = [SHORT, LONG, LONG[50:], SHORT * 3] * 3
    alone = [squad.answer(QUESTION, context) for context in contexts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda context: squad.answer(QUESTION, context), contexts))
    for one, other in zip(alone, together, strict=True):
        assert [as_json(answer) for answer in other] == [{**as_json(o), "score": close(o.score)} for o in one]


# What a user can do wrong


def test_run_dispatches_by_task(squad: Model) -> None:
    assert squad.run(QUESTION, context=SHORT, top_k=2) == squad.answer(QUESTION, SHORT, top_k=2)
    assert squad(QUESTION, context=SHORT, pair=None, top_k=None) == squad.answer(QUESTION, SHORT)
    [once] = run(squad.bundle, QUESTION, threads=1, context=SHORT)
    assert once.answer == squad.answer(QUESTION, SHORT)[0].answer
    assert set(METHODS) == {task.name for task in TASKS}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "^question-answering needs --context, which is missing; give it$"),
        ({"context": SHORT, "pair": SHORT}, "--pair is not for question-answering, which takes --context"),
        ({"context": SHORT, "normalize": True}, "--normalize is not for question-answering"),
    ],
)
def test_arguments_that_do_not_fit_the_task_are_told(squad: Model, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        squad.run(QUESTION, **given)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("classify", ["a"]),
        ("tag", ["a"]),
        ("fill", ["a"]),
        ("embed", ["a"]),
        ("next_sentence", ["a", "b"]),
        ("choose", ["a", ["b", "c"]]),
    ],
)
def test_a_method_of_another_task_names_the_one_that_fits(squad: Model, method: str, arguments: Any) -> None:
    with pytest.raises(
        UsageError, match=rf"`{method}` is for .*, but this model does question-answering. Call `answer`"
    ):
        getattr(squad, method)(*arguments)


def test_answer_is_for_questions_only(runtime_bundle: Bundles) -> None:
    model = load(runtime_bundle("fill-mask").folder)
    with pytest.raises(
        UsageError, match=r"`answer` is for question-answering, but this model does fill-mask. Call `fill`"
    ):
        model.answer(QUESTION, SHORT)


@pytest.mark.parametrize(
    ("question", "context", "options", "message"),
    [
        ("", SHORT, {}, "The question is empty"),
        (QUESTION, "  ", {}, "The context is empty"),
        (QUESTION, None, {}, "The context is of type NoneType"),
        (LONG, SHORT, {}, r"The question has \d+ tokens .* no room in a row of 48"),
        (QUESTION, SHORT, {"top_k": 0}, "--top-k is 0"),
        (QUESTION, SHORT, {"max_answer_len": 0}, "--max-answer-len is 0"),
    ],
)
def test_a_question_that_cannot_be_asked(
    squad: Model, question: str, context: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        squad.answer(question, context, **options)


def test_a_text_without_mask_is_told(runtime_bundle: Bundles) -> None:
    with pytest.raises(UsageError, match=r"has no \[MASK\]. Put one"):
        load(runtime_bundle("fill-mask").folder).fill(SHORT)


@pytest.mark.parametrize("choices", [[], ["one"], "text"])
def test_choices_are_two_or_more(runtime_bundle: Bundles, choices: list[str]) -> None:
    with pytest.raises(UsageError, match="expected two or more texts, one for each choice"):
        load(runtime_bundle("multiple-choice").folder).choose(SHORT, choices)


def test_other_bad_arguments_are_told(runtime_bundle: Bundles) -> None:
    embedder = load(runtime_bundle("feature-extraction").folder)
    with pytest.raises(UsageError, match=r"^text 1: The text is empty"):
        embedder.embed([SHORT, ""])
    with pytest.raises(UsageError, match="The choice is empty"):
        load(runtime_bundle("multiple-choice").folder).choose(SHORT, ["a", " "])
    with pytest.raises(UsageError, match="--aggregation is longest; expected one of none, simple, first, max"):
        load(runtime_bundle("token-classification", **NER).folder).tag(SHORT, aggregation="longest")  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="The second text is of type NoneType"):
        load(runtime_bundle("next-sentence-prediction").folder).next_sentence(SHORT, None)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="--top-k is 0"):
        load(runtime_bundle("text-classification", num_labels=3).folder).classify(SHORT, top_k=0)


# Bundles that are not as they must be


@pytest.fixture
def copy(runtime_bundle: Bundles, tmp_path: Path) -> Path:
    """A bundle for question answering that may be broken."""
    return shutil.copytree(runtime_bundle("question-answering").folder, tmp_path / "copy")


def test_threads_and_providers(copy: Path) -> None:
    assert load(copy, threads=1).session.get_session_options().intra_op_num_threads == 1
    for threads in (0, 1025):
        with pytest.raises(UsageError, match=f"--threads is {threads}; expected 1 to 1,024"):
            load(copy, threads=threads)
    with pytest.raises(UsageError, match=r"no NeverExecutionProvider, only .*CPUExecutionProvider"):
        load(copy, provider="NeverExecutionProvider")


def test_a_corrupt_onnx_is_told_in_one_line(copy: Path) -> None:
    path = copy / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BundleError, match=r"onnxruntime cannot load .*model\.onnx: .*Export it again\.") as caught:
        load(copy)
    assert "\n" not in str(caught.value)


def test_a_bundle_without_tokenizer_still_takes_ids(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    model = load(copy)
    assert model.logits([[2, 7, 3]])["start_logits"].shape == (1, 3)
    with pytest.raises(BundleError, match=r"has no tokenizer.json, which text needs"):
        model.answer(QUESTION, SHORT)


def test_a_graph_of_another_task_is_told(copy: Path) -> None:
    (copy / "mbert_onnx.json").write_text('{"task": "text-classification"}')
    assert load(copy).task.name == "question-answering"
    graph = copy / "onnx" / "model.onnx"
    renamed = graph.read_bytes().replace(b"start_logits", b"first_logits")
    graph.write_bytes(renamed)
    with pytest.raises(BundleError, match="outputs first_logits, end_logits, but text-classification needs logits"):
        load(copy)


@pytest.mark.parametrize("task", ["token-classification", "fill-mask", "text-classification"])
def test_outputs_of_unknown_names_and_sizes_are_tried(task: str, runtime_bundle: Bundles, tmp_path: Path) -> None:
    copy = shutil.copytree(runtime_bundle(task).folder, tmp_path / "copy")
    path = copy / "onnx" / "model.onnx"
    expected, model = load(copy).logits([[2, 7, 3]]), onnx.load(path)
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["linear_62" if name == output.name else name for name in node.output]
    output.name = "linear_62"
    for axis, dim in enumerate(output.type.tensor_type.shape.dim):
        dim.dim_param = f"Add_dim_{axis}"
    onnx.save(model, path)
    np.testing.assert_array_equal(load(copy).logits([[2, 7, 3]])["logits"], expected["logits"])


def test_inputs_of_other_names_are_known_by_their_use(copy: Path) -> None:
    expected = load(copy).answer(QUESTION, SHORT)
    graph = copy / "onnx" / "model.onnx"
    graph.write_bytes(
        graph.read_bytes().replace(b"token_type_ids", b"visual_embeds_").replace(b"input_ids", b"pixels_in")
    )
    assert load(copy).answer(QUESTION, SHORT) == expected


def test_a_graph_with_other_inputs_is_told(copy: Path) -> None:
    path = copy / "onnx" / "model.onnx"
    model = onnx.load(path)
    for output in model.graph.output:
        model.graph.node.append(onnx.helper.make_node("Mul", [output.name, "scale"], [f"{output.name}.scaled"]))
        output.name += ".scaled"
    model.graph.input.append(onnx.helper.make_tensor_value_info("scale", onnx.TensorProto.FLOAT, []))
    onnx.save(model, path)
    with pytest.raises(BundleError, match=r"has the outputs|scale, expected input_ids and perhaps"):
        load(copy)


def test_the_wrong_rank_is_told(runtime_bundle: Bundles, tmp_path: Path) -> None:
    copy = shutil.copytree(runtime_bundle("text-classification", num_labels=3).folder, tmp_path / "copy")
    (copy / "mbert_onnx.json").write_text('{"task": "multiple-choice"}')
    with pytest.raises(BundleError, match="multiple-choice has the axes batch, choices, sequence"):
        load(copy)


def test_the_mask_token_is_that_of_the_tokenizers_config(runtime_bundle: Bundles, tmp_path: Path) -> None:
    copy = shutil.copytree(runtime_bundle("fill-mask").folder, tmp_path / "copy")
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    text = json.dumps(tokenizer).replace("[MASK]", "<mask>")
    (copy / "tokenizer.json").write_text(text)
    (copy / "tokenizer_config.json").write_text('{"mask_token": {"content": "<mask>", "lstrip": false}}')
    expected = load(runtime_bundle("fill-mask").folder).fill("Ada [MASK] it.")[0]
    found = load(copy).fill("Ada <mask> it.")[0]
    assert [token.token for token in found.tokens] == [token.token for token in expected.tokens]
    assert (found.start, found.end) == (4, 10)
