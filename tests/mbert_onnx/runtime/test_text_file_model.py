"""Text files in the runtime: the results of the model file beside them, without `tokenizers`, and what is refused."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from mbert_onnx import BundleError, UsageError, load
from mbert_onnx.bundles.model_file import TextReader, check_ordinary
from mbert_onnx.bundles.proto_file import is_text_file
from mbert_onnx.bundles.reader import find_text_file, read_bundle
from mbert_onnx.cli.application import app
from mbert_onnx.conversion.text_files.plan import plan_text
from mbert_onnx.conversion.text_files.writing import write_names, write_text_file
from mbert_onnx.conversion.verification.answers import compare_answers
from mbert_onnx.errors import MissingExtraError
from mbert_onnx.runtime.answers import as_json
from mbert_onnx.runtime.jobs.statistics import BatchStatistics
from mbert_onnx.runtime.text_files.model import TextFileModel
from mbert_onnx.runtime.text_files.vocabulary import read_vocabulary, vocabulary_lines

SHORT = "Ada wrote the first program in London. É 漢!"
LONG = "Ada wrote the first program in London for the engine, unbelievably; grace built a compiler in New York. " * 4
OTHER = "Grace found a moth in the machine!"
NER = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}

Files = Callable[..., Path]


@pytest.fixture(scope="module")
def text_file(runtime_bundle: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Files:
    """`text_file(task, pair=False, **config)`: the text file of a small bundle, beside its model file."""
    built: dict[str, Path] = {}

    def make(task: str, *, pair: bool = False, **config: Any) -> Path:
        key = repr((task, pair, config))
        if key not in built:
            folder = tmp_path_factory.mktemp("text") / "bundle"
            shutil.copytree(runtime_bundle(task, **config).folder, folder)
            bundle = read_bundle(folder)
            sizes = [bundle.config[name] for name in ("vocab_size", "max_position_embeddings", "type_vocab_size")]
            assert bundle.tokenizer_path is not None
            plan = plan_text(TextReader(bundle.task, bundle.tokenizer_path, *sizes), bundle.config, pair=pair)
            built[key] = folder / "onnx" / "model_text.onnx"
            write_text_file(bundle.model_path, built[key], plan)
            write_names(folder, plan)
        return built[key]

    return make


def rounded(result: Any) -> Any:
    """A result with approximate scores, and without the words of entities, which are tokens joined."""
    if isinstance(result, dict):
        return {key: rounded(value) for key, value in result.items() if key != "word"}
    if isinstance(result, list | tuple):
        return [rounded(value) for value in result]
    return pytest.approx(result, rel=1e-4, abs=1e-5) if isinstance(result, float) else result


ARGUMENTS: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("text-classification", {"num_labels": 3}, [{"text": SHORT}, {"text": LONG}, {"text": OTHER, "top_k": 2}]),
    ("next-sentence-prediction", {}, [{"text": SHORT, "pair": OTHER}, {"text": LONG, "pair": OTHER}]),
    ("multiple-choice", {}, [{"text": SHORT, "choices": [OTHER, LONG, SHORT]}]),
    (
        "question-answering",
        {},
        [
            {"text": "Who wrote it?", "context": SHORT},
            {"text": "Who wrote it?", "context": LONG, "top_k": 4, "stride": 7, "max_answer_len": 3},
            {"text": "Who wrote it?", "context": SHORT, "top_k": 2**70, "handle_impossible_answer": True},
        ],
    ),
    (
        "token-classification",
        {"id2label": NER, "label2id": {name: number for number, name in NER.items()}},
        [{"text": SHORT}, {"text": LONG}, {"text": SHORT, "aggregation": "none"}],
    ),
    ("fill-mask", {}, [{"text": SHORT.replace("wrote", "[MASK]")}, {"text": f"{LONG} [MASK]", "top_k": 2}]),
    ("pretraining", {}, [{"text": SHORT.replace("wrote", "[MASK]")}]),
    ("feature-extraction", {}, [{"text": SHORT}, {"text": LONG, "normalize": True}, {"text": [OTHER, SHORT]}]),
]


@pytest.mark.parametrize(("task", "config", "asked"), ARGUMENTS, ids=[task for task, _, _ in ARGUMENTS])
def test_results_are_those_of_the_model_file(
    task: str, config: dict[str, Any], asked: list[dict[str, Any]], text_file: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = text_file(task, **config)
    ordinary = load(path.parent.parent)
    assert type(ordinary) is not TextFileModel
    expected = [as_json(ordinary.run(**arguments)) for arguments in asked]
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    model = load(path)
    assert isinstance(model, TextFileModel)
    for arguments, result in zip(asked, expected, strict=True):
        assert rounded(as_json(model.run(**arguments))) == rounded(result)


@pytest.mark.parametrize("task", ["text-classification", "question-answering", "token-classification", "fill-mask"])
def test_a_list_has_the_results_of_its_texts(task: str, text_file: Files) -> None:
    _, config, asked = next(entry for entry in ARGUMENTS if entry[0] == task)
    model = load(text_file(task, **config))
    assert isinstance(model, TextFileModel)
    texts = [asked[0]["text"], LONG.replace("wrote", "[MASK]"), OTHER.replace("moth", "[MASK]")] * 2
    if task == "question-answering":
        texts = [SHORT, LONG, OTHER] * 2
    inputs = [("Who wrote it?", text) if task == "question-answering" else (text,) for text in texts]
    expected = [rounded(as_json(model.try_many([one])[0])) for one in inputs]
    statistics = BatchStatistics()
    assert rounded([as_json(one) for one in model.try_many(inputs, statistics=statistics)]) == expected
    assert (statistics.texts, statistics.rows) == (6, 6)
    assert model.file.shares_runs is (None if task == "fill-mask" else True)
    assert statistics.runs == (6 if task == "fill-mask" else 2)  # the long ones fill one


def test_the_word_of_an_entity_is_its_text(text_file: Files) -> None:
    _, config, _ = ARGUMENTS[4]
    for entity in load(text_file("token-classification", **config)).tag(LONG):
        assert entity.word == LONG[entity.start : entity.end]


def test_pairs(text_file: Files) -> None:
    path = text_file("text-classification", pair=True, num_labels=3)
    with pytest.raises(UsageError, match=r"reads pairs of texts, and --pair is missing; give it"):
        load(path).run(SHORT)
    expected = load(path.with_name("model.onnx")).run(SHORT, pair=OTHER)
    assert rounded(as_json(load(path).run(SHORT, pair=OTHER))) == rounded(as_json(expected))
    single = load(text_file("text-classification", num_labels=3))
    assert isinstance(single, TextFileModel)
    assert single.file.record.token_types == 2
    with pytest.raises(UsageError, match=r"reads one text, and no --pair; export it with --text-pair, or give .*model"):
        single.run(SHORT, pair=OTHER)
    single.file.record = replace(single.file.record, token_types=1)  # for which --text-pair is refused
    with pytest.raises(UsageError, match=r"which reads one text, and no --pair; give .*model"):
        single.run(SHORT, pair=OTHER)


def test_a_text_file_needs_nothing_beside_it(text_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = text_file("question-answering")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    alone = shutil.copy(source, tmp_path / "any name.onnx")
    printed = [CliRunner().invoke(app, ["run", str(path), "Who?", "--context", SHORT]) for path in (source, alone)]
    assert printed[0].output == printed[1].output
    assert printed[0].exit_code == 0
    shutil.copy(source, tmp_path / "model_text.onnx")  # the only model of a folder
    assert load(tmp_path).run("Who?", context=SHORT)
    with pytest.raises(MissingExtraError, match=r"is read by the package tokenizers, .*: pip install tokenizers, or"):
        load(source.parent.parent)


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("token-classification", {"text": "a", "aggregation": "max"}, "it has no --aggregation max; give .*model.onnx"),
        ("question-answering", {"text": "a", "context": " "}, "The context is empty"),
        ("question-answering", {"text": LONG, "context": "a"}, r"The question is \d+ tokens too long for a row of 48"),
        ("question-answering", {"text": "a", "context": "a", "max_seq_len": 49}, "but the model takes 1 to 48 tokens"),
        ("question-answering", {"text": "a", "context": "a", "stride": -1}, "stride is -1; expected a whole number"),
        ("question-answering", {"text": "a", "context": "a", "stride": 48}, "stride is 48; .* from 0 to 47"),
        ("question-answering", {"text": "a", "context": "a", "top_k": 0}, "--top-k is 0; expected a whole number"),
        ("fill-mask", {"text": "a"}, r"The text has no \[MASK\]"),
        ("pretraining", {"text": "a", "pair": "b"}, "--pair is not for pretraining"),
    ],
)
def test_arguments_that_a_text_file_does_not_take(
    text_file: Files, task: str, arguments: dict[str, Any], message: str
) -> None:
    config = ARGUMENTS[4][1] if task == "token-classification" else {}
    with pytest.raises(UsageError, match=message):
        load(text_file(task, **config)).run(**arguments)


def test_a_question_that_fills_its_row_is_refused_without_the_context(
    text_file: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, read = load(text_file("question-answering")), list[int]()
    assert isinstance(model, TextFileModel)
    run = model.file.run

    def counted(feeds: dict[str, np.ndarray], **options: Any) -> dict[str, np.ndarray]:
        read.append(len(feeds["context"]))
        return run(feeds, **options)

    monkeypatch.setattr(model.file, "run", counted)
    with pytest.raises(UsageError, match=r"The question is \d+ tokens too long for a row of 48"):
        model.answer(LONG, LONG)
    assert read == [0]


def test_token_ids_and_other_tasks_are_refused(text_file: Files) -> None:
    model = load(text_file("pretraining"))
    for call in (
        lambda: model.logits([[1]]),
        lambda: model.tokenizer,
        lambda: model.next_sentence("a", "b"),
        lambda: model.classify("a"),
    ):
        with pytest.raises(UsageError, match=r"is a text file, which|but this model does pretraining"):
            call()
    with pytest.raises(UsageError, match=r"is a text file, and optimize reads files that take token ids; give .*model"):
        check_ordinary(model.bundle.model_path, "optimize")


def test_what_a_text_file_is(text_file: Files, tmp_path: Path) -> None:
    path = text_file("fill-mask")
    ordinary = path.with_name("model.onnx")
    assert (is_text_file(path), is_text_file(ordinary), find_text_file(path.parent.parent)) == (True, False, None)
    (tmp_path / "text.onnx").write_text("no model")
    assert not is_text_file(tmp_path / "text.onnx")
    (tmp_path / "empty.onnx").touch()
    assert not is_text_file(tmp_path / "empty.onnx")


@pytest.mark.parametrize("change", ["no record", "not JSON", "no limit", "no task"])
def test_a_record_that_is_damaged_is_refused(text_file: Files, tmp_path: Path, change: str) -> None:
    model = onnx.load(text_file("question-answering"))
    for entry in model.metadata_props:
        if entry.key == ("task" if change == "no task" else "text"):
            entry.value = {"not JSON": "{", "no limit": '{"version": 1}'}.get(change, entry.value)
            entry.key = entry.key if change in ("not JSON", "no limit") else "other"
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(BundleError, match=r"is a text file, and its metadata has .*; export it again with --text"):
        load(tmp_path / "a.onnx")


def test_the_vocabulary_beside_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "onnx" / "model_text.onnx"
    with pytest.raises(BundleError, match=r"has no vocab.txt beside it with their texts; copy the model"):
        read_vocabulary(path)
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0, "b": 2}}, "added_tokens": []}')
    assert read_vocabulary(path) == {0: "a", 2: "b"}
    tokens = {0: "a", 2: "two\nlines", 3: "\u2028"}
    (tmp_path / "vocab.txt").write_bytes(vocabulary_lines(tokens).encode())
    assert read_vocabulary(path) == {0: "a", 1: "", 2: "two lines", 3: "\u2028"}
    plan: Any = SimpleNamespace(options=SimpleNamespace(task="fill-mask"), names={0: "a", 1: "[ADDED]"})
    assert write_names(tmp_path, plan) == "vocab.txt"  # in place of transformers', which has no added tokens
    assert read_vocabulary(path) == {0: "a", 1: "[ADDED]"}
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_bytes(b"\xff")
    with pytest.raises(BundleError, match=r"vocab.txt is no list of tokens"):
        read_vocabulary(path)


def test_a_vocabulary_of_another_model_is_not_read(text_file: Files, tmp_path: Path) -> None:
    made = text_file("fill-mask")
    folder = shutil.copytree(made.parent.parent, tmp_path / "bundle")
    text, path = SHORT.replace("wrote", "[MASK]"), folder / "onnx" / "model_text.onnx"
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    (folder / "vocab.txt").write_text("\n".join(reversed(lines)), encoding="utf-8")  # as many tokens
    assert load(path).fill(text) == load(made).fill(text)  # from tokenizer.json
    (folder / "tokenizer.json").unlink()
    found = r"no vocab\.txt beside it with their texts; \S*vocab\.txt has other tokens than the model; copy the model"
    with pytest.raises(BundleError, match=found):
        load(path).fill(text)


def test_answers_are_compared_without_a_vocabulary(text_file: Files, tmp_path: Path) -> None:
    made = text_file("fill-mask")
    bundle = read_bundle(made.with_name("model.onnx"))
    (tmp_path / "apart").mkdir()  # the folder around it is searched, too
    alone = Path(shutil.copy(made, tmp_path / "apart" / "text.onnx"))
    assert compare_answers(replace(bundle, model_path=alone), bundle, pair=False).texts > 0
    with pytest.raises(BundleError, match=r"has no vocab\.txt beside it with their texts; copy the model"):
        load(alone).fill(SHORT.replace("wrote", "[MASK]"))


def test_one_text_of_a_fixed_length_is_cut(
    runtime_bundle: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file of fixed shapes, as for phones: one row, no windows, and the answer says what was not read."""
    bundle = read_bundle(runtime_bundle("question-answering", batch=1).folder)
    assert bundle.tokenizer_path is not None
    plan = plan_text(TextReader(bundle.task, bundle.tokenizer_path, None, 48, 2), bundle.config)
    write_text_file(bundle.model_path, tmp_path / "model_text.onnx", replace(plan, record={}))
    model = load(tmp_path / "model_text.onnx")
    assert model.run("Who?", context=SHORT, top_k=2) == model.run("Who?", context=SHORT, top_k=5)[:2]
    assert not caplog.messages
    model.run("Who?", context=LONG)
    assert "tokens of the context were not read: " in caplog.messages[0]
    assert "takes rows of at most 32 tokens" in caplog.messages[0]
    with pytest.raises(UsageError, match="reads a text in one row, and takes no stride"):
        model.run("Who?", context=LONG, stride=3)
    np.testing.assert_equal(isinstance(model, TextFileModel) and model.file.record.limit, 32)


@pytest.mark.parametrize(("name", "message"), [("cut", "has no output cut, which"), ("labels", "an output of 1 axes")])
def test_a_file_with_other_outputs_is_refused(text_file: Files, tmp_path: Path, name: str, message: str) -> None:
    model = onnx.load(text_file("text-classification", num_labels=3))
    [output] = [output for output in model.graph.output if output.name == name]
    if name == "cut":
        model.graph.output.remove(output)
    else:  # a list of all labels
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1]), "flat"))
        [node] = [node for node in model.graph.node if name in node.output]
        node.output[list(node.output).index(name)] = "by_text"
        model.graph.node.append(onnx.helper.make_node("Reshape", ["by_text", "flat"], [name]))
        del output.type.tensor_type.shape.dim[1:]
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(BundleError, match=message):
        load(tmp_path / "a.onnx").run(SHORT)
