"""Text files of models with other inputs, precisions and tokenizers, and of other opsets; and the model inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from built_kernels import LIBRARY, needs_kernels
from text_files import (
    LONG,
    OTHER,
    QUESTION,
    SHORT,
    SPLITS,
    TEXTS,
    TextFile,
    characters,
    close,
    copied,
    run_text,
    session_of,
)
from text_functions import joined
from tokenizers import Tokenizer

from graphs.functions.answers.label_names import read_names
from graphs.functions.text_file.attach import add_text
from graphs.functions.text_file.detach import is_text_model, tokenize_model, without_text
from graphs.model.opsets import OLDEST_OPSET, convert, newest_opset
from mbert_onnx.errors import BundleError
from mbert_onnx.text.sentence_embedding import EmbeddingSettings

Files = Callable[..., TextFile]


@pytest.fixture
def text_file(runtime_bundle: Callable[..., Any]) -> Files:
    """`text_file(task, **options of runtime_bundle)`."""
    return lambda task, **options: TextFile(runtime_bundle(task, **options).folder)


# Other models and tokenizers


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("text-classification", {"inputs": ("input_ids",)}),
        ("question-answering", {"inputs": ("input_ids", "attention_mask"), "dtype": torch.int32}),
        ("question-answering", {"batch": 1, "dtype": torch.int32}),
        ("token-classification", {"batch": 1}),
    ],
    ids=["ids", "int32", "fixed", "fixed tags"],
)
def test_models_of_other_inputs(text_file: Files, task: str, options: dict[str, Any]) -> None:
    file = text_file(task, **options)
    fixed = "batch" in options
    splits = {one.name for one in file.session.get_overridable_initializers()} & set(SPLITS.values())
    assert bool(splits) is not fixed
    if task == "text-classification":
        for text in TEXTS:
            labelled = file.model.classify(text)
            found = file.run(text)
            assert found["scores"][0].tolist() == close([one.score for one in labelled.labels])
            assert bool(found["cut"].any()) is labelled.truncated
    elif task == "question-answering":
        [best] = file.model.answer(QUESTION, SHORT)
        found = file.run(QUESTION, context=SHORT)
        assert characters(SHORT, found["spans"][0, 0]) == (best.start, best.end)
        assert found["scores"][0, 0] == close(best.score)
        found = file.run(QUESTION, context=LONG)
        assert found["cut"][0, 0] == 0
        assert bool(found["cut"][0, 1]) is fixed
    else:
        found = file.run(SHORT)
        labels = read_names(file.file.metadata_props) or []
        tokens: Any = file.model.tag(SHORT, aggregation="none")
        expected = [(one.entity, close(one.score)) for one in tokens]
        assert [
            (labels[label], score) for label, score in zip(found["labels"], found["scores"], strict=True)
        ] == expected
        assert ("cut" in found) is fixed


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("text-classification", {"truncation_side": "left"}),
        ("text-classification", {"split_special_tokens": True}),
        ("text-classification", {"do_lower_case": False, "tokenizer_class": "BertTokenizer"}),
        ("question-answering", {"padding_side": "left"}),
        ("question-answering", {"model_input_names": ["input_ids", "attention_mask"]}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_settings_beside_the_tokenizer(
    runtime_bundle: Callable[..., Any], tmp_path: Path, task: str, settings: dict[str, Any]
) -> None:
    folder = copied(runtime_bundle(task).folder, tmp_path, "tokenizer_config.json", settings)
    file = TextFile(folder, pair=task == "text-classification")
    pairs = [(QUESTION, SHORT + " [SEP] a"), (OTHER, LONG)]
    batch: Any = [list(texts) for texts in zip(*pairs, strict=True)]
    if task == "question-answering":
        found = file.run(batch[0], context=batch[1], top_k=3)
        for row, (question, context) in enumerate(pairs):
            expected = file.model.answer(question, context, top_k=3)
            spans = [characters(context, span) for span in found["spans"][row]]
            assert spans == [(one.start, one.end) for one in expected]
            assert found["scores"][row].tolist() == close([one.score for one in expected])
    else:
        found = file.run(batch[0], pair=batch[1])
        for row, (text, pair) in enumerate(pairs):
            labels = file.model.classify(text, pair)
            assert found["scores"][row].tolist() == close([one.score for one in labels.labels])
            assert bool(found["cut"][row].any()) is labels.truncated


def test_a_model_of_one_segment(exported: Any) -> None:
    file = TextFile(exported("text-classification", "one_segment").bundle, pair=True)
    expected = file.model.classify(SHORT, OTHER)
    assert file.run(SHORT, pair=OTHER)["scores"][0].tolist() == close([one.score for one in expected.labels])


def test_a_question_for_a_model_of_one_segment(exported: Any) -> None:
    file = TextFile(exported("question-answering", "one_segment").bundle)
    [best, *_] = file.model.answer(SHORT, OTHER)
    found = file.run(SHORT, context=OTHER)
    assert found["scores"][0, 0] == close(best.score)
    assert found["spans"][0, 0].tolist() == [len(OTHER[:place].encode()) for place in (best.start, best.end)]


EMBEDDINGS = [
    EmbeddingSettings(max_seq_length=16, normalize=True),
    EmbeddingSettings(max_seq_length=20, prompt="the engine: ", do_lower_case=True),
]


@pytest.mark.parametrize("settings", EMBEDDINGS, ids=["normalized", "prompt"])
def test_models_of_sentence_transformers(
    runtime_bundle: Callable[..., Any], tmp_path: Path, settings: EmbeddingSettings
) -> None:
    folder = copied(
        runtime_bundle("feature-extraction").folder,
        tmp_path,
        "mbert_onnx.json",
        {"sentence_embedding": settings.as_dict()},
    )
    file = TextFile(folder, embedding=settings)
    found = file.run(TEXTS)
    np.testing.assert_allclose(found["sentence_embedding"], file.model.embed(TEXTS), rtol=1e-4, atol=1e-5)
    assert found["cut"].astype(bool).any(1).tolist() == [False, True, False]
    assert file.record["max_length"] == settings.max_seq_length


def test_a_prompt_that_joins_the_text_is_refused(runtime_bundle: Callable[..., Any], tmp_path: Path) -> None:
    settings = EmbeddingSettings(max_seq_length=16, prompt="the engine")
    folder = runtime_bundle("feature-extraction").folder
    with pytest.raises(BundleError, match=r"the prompt 'the engine' .* joins the first word"):
        TextFile(folder, embedding=settings)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(
    runtime_bundle: Callable[..., Any], tmp_path: Path
) -> None:
    folder = copied(runtime_bundle("feature-extraction").folder, tmp_path, "tokenizer_config.json", {})
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = tokenizer.get_vocab_size()
    tokenizer.add_tokens(["covid"])
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(
        BundleError, match=rf"has {rows} word embeddings, none for 'covid' \(token {rows}\); a text file"
    ):
        TextFile(folder)


@pytest.mark.parametrize("options", [{"choices": 3}, {"target": "mobile", "seq_len": 8}], ids=["choices", "mobile"])
def test_a_fixed_number_of_choices(exported: Any, options: dict[str, Any]) -> None:
    folder = exported("multiple-choice", **options).bundle
    file = TextFile(folder)
    most = file.record["choices"]
    for count in (2, most):
        # As many tokens in each: padding changes the answers of this model, and the runtime pads none of them.
        words = OTHER.split()
        choices = [" ".join(words[number:] + words[:number]) for number in range(count)]
        expected = {one.index: one.score for one in file.model.choose(QUESTION, choices).choices}
        found = file.run(QUESTION, choices=choices)
        assert found["scores"][0].tolist() == close([expected[number] for number in range(count)])


# The file


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_text_file_has_the_model_inside(exported: Any, texts: Path, precision: str) -> None:
    lower = {} if precision == "fp32" else {"precision": precision, "calibrate": texts, "min_agreement": 0}
    bundle = exported("question-answering", **lower)
    file = TextFile(bundle.bundle)
    given = onnx.load(bundle.model)
    assert is_text_model(file.file)
    tokens = tokenize_model(file.file)
    inside = ir.to_proto(without_text(file.file))
    assert not is_text_model(ir.from_proto(inside))
    assert list(inside.graph.input) == list(given.graph.input)
    assert list(inside.graph.output) == list(given.graph.output)
    assert [node.op_type for node in inside.graph.node] == [node.op_type for node in given.graph.node]
    assert inside.opset_import == given.opset_import

    session = onnxruntime.InferenceSession(inside.SerializeToString())
    proto = ir.to_proto(tokens)
    onnx.checker.check_model(proto)
    tokenizer = onnxruntime.InferenceSession(proto.SerializeToString())
    data = {"text": joined([QUESTION]), "pair": joined([SHORT])}
    feed = {
        "text": data["text"][0],
        "row_splits": data["text"][1],
        "pair": data["pair"][0],
        "pair_splits": data["pair"][1],
    }
    names = [output.name for output in tokenizer.get_outputs()]
    numbers = {"max_length": np.array([48]), "stride": np.array([-1])}
    rows = dict(zip(names, tokenizer.run(None, feed | numbers), strict=True))
    _, windows = file.model.tokenizer.windows(SHORT, QUESTION)
    assert rows["input_ids"].tolist() == [windows[0].ids]
    assert session.run(None, {name: rows[name] for name in ("input_ids", "attention_mask", "token_type_ids")})[0].any()


@pytest.mark.parametrize(
    ("how", "opset"),
    [
        ("inlined", OLDEST_OPSET),
        ("inlined", newest_opset()),
        ("unoptimized", OLDEST_OPSET),
        pytest.param("kernels", newest_opset(), marks=needs_kernels),
    ],
)
def test_defaults_may_be_overridden(text_file: Files, how: str, opset: int) -> None:
    file = text_file("question-answering")
    proto = ir.to_proto(add_text(convert(file.graph(), opset), file.tables, file.options))
    settings = onnxruntime.SessionOptions()
    if how == "unoptimized":
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    elif how == "inlined":
        proto = onnx.inliner.inline_local_functions(proto)
        assert not proto.functions
    else:
        settings.register_custom_ops_library(str(LIBRARY))
    session = session_of(proto, settings)
    inputs: dict[str, Any] = {"top_k": 3, "longest_answer": 4, "allow_no_answer": True, "stride": 5}
    batch: tuple[Any, Any] = [QUESTION, OTHER], [SHORT, LONG]
    for (question, context), given in (((QUESTION, LONG), {}), (batch, inputs)):
        found = run_text(session, question, 48, context=context, **given)
        for name, expected in file.run(question, 48, context=context, **given).items():
            np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-6, err_msg=name)
