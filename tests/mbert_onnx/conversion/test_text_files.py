"""`export --text` and `optimize --text`: what is written, recorded, printed, and refused before the work."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import onnx
import pytest
from exported_checkpoints import Exported, Exports
from small_checkpoints import names_in
from transformers import BertTokenizerFast
from typer.testing import CliRunner

from graphs.errors import GraphError
from mbert_onnx import (
    BundleError,
    CheckpointError,
    UsageError,
    VerificationError,
    bench,
    doctor,
    export,
    inspect,
    load,
    optimize,
)
from mbert_onnx.benchmark.models.builder import ModelBuilder
from mbert_onnx.bundles.records import FILE, TEXT, TEXT_VARIANTS, Records
from mbert_onnx.cli.application import app
from mbert_onnx.conversion.text_files import writing
from mbert_onnx.conversion.text_files.plan import TextRequest
from mbert_onnx.conversion.verification import answers
from mbert_onnx.conversion.verification.text_check import TextVerdict
from mbert_onnx.errors import MbertError
from mbert_onnx.runtime.text_files.model import TextFileModel
from mbert_onnx.text.tasks import QUESTION_ANSWERING, TEXT_CLASSIFICATION
from perf.sessions.inputs import read_inputs
from perf.sessions.subject import Subject

TEXT_FILE = TEXT_VARIANTS["fp32"]
CONTEXT = "ada wrote the first program in london ."

pytestmark = pytest.mark.usefixtures("traced_once")


@pytest.fixture(autouse=True)
def unchecked_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are not compared, which takes seconds; the check has tests of its own."""

    def check(*_arguments: Any, **_named: Any) -> TextVerdict:
        return TextVerdict("Tokenize", 3, 3, 5, 2, 0, kernels=False, cached=False, seconds=0.1)

    monkeypatch.setattr(writing, "check_text", check)


@pytest.fixture(scope="module")
def checkpoint(exported: Exports) -> Exported:
    """A small checkpoint that classifies, and its bundle without a text file."""
    return exported("text-classification")


def test_a_text_file_stands_beside_the_model_file(checkpoint: Exported, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    report = export(checkpoint.checkpoint, bundle, text=True)
    assert report.text is not None
    assert report.text.path == bundle / TEXT_FILE
    assert names_in(bundle / "onnx") == ["model.onnx", "model_text.onnx"]
    metadata = json.loads((bundle / "mbert_onnx.json").read_text())
    record = metadata["precisions"]["fp32"][TEXT]
    assert (record[FILE], record["inputs"], record["names"]) == (TEXT_FILE, ["text", "max_length"], "labels.txt")
    assert record["answers"]["texts"] == answers.TEXTS
    assert record["answers"]["difference"] < answers.MOST
    assert record["verification"]["code_points"] == 3
    assert {TEXT_FILE, "labels.txt"} <= set(metadata["files"])
    assert (bundle / "labels.txt").read_text() == "LABEL_0\nLABEL_1\n"
    assert onnx.load(bundle / TEXT_FILE, load_external_data=False).producer_name == "mbert-onnx"
    model = load(bundle / TEXT_FILE)
    assert isinstance(model, TextFileModel)
    assert model.run(CONTEXT).label == load(bundle).run(CONTEXT).label
    # Again without it: the text file is of the model file that is replaced.
    printed = CliRunner().invoke(app, ["export", str(checkpoint.checkpoint), "-o", str(bundle), "--overwrite"])
    assert printed.exit_code == 0, printed.output
    assert "removed    onnx/model_text.onnx, of the model file that was replaced; --text wr" in printed.stdout
    assert names_in(bundle / "onnx") == ["model.onnx"]
    assert TEXT not in Records.read(bundle).precisions["fp32"]


def test_the_text_file_is_printed(checkpoint: Exported, tmp_path: Path) -> None:
    arguments = ["export", str(checkpoint.checkpoint), "-o", str(tmp_path / "bundle"), "--text-pair"]
    printed = CliRunner().invoke(app, arguments)
    assert printed.exit_code == 0, printed.output
    for line in (
        "MB, at most 40 tokens, names in labels.txt",
        "             text, pair, max_length → labels, scores, cut",
        "             ids, types, offsets and masks are those of tokenizers: 3 code points in 3 surroundings",
        "             answers to 8 texts differ by at most ",
    ):
        assert line in printed.stdout, printed.stdout
    found, ordinary = inspect(tmp_path / "bundle" / TEXT_FILE), inspect(tmp_path / "bundle")
    assert found.text is not None
    assert (found.text.operator, found.text.limit) == ("TokenizePair", 40)
    assert found.text.optional == ["row_splits", "pair_splits", "top_k"]
    assert (found.macs, found.parameters) == (ordinary.macs, ordinary.parameters)
    assert [port.name for port in found.inputs] == ["text", "pair", "max_length"]
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "bundle" / TEXT_FILE)]).stdout
    assert "text file  text-classification by mbert.TokenizePair: rows of at most 40 tokens" in shown
    assert "defaults   for the inputs row_splits, pair_splits, top_k" in shown


def test_optimize_writes_a_text_file(checkpoint: Exported, tmp_path: Path) -> None:
    given = shutil.copy(checkpoint.model, tmp_path / "model.onnx")
    config = json.loads((checkpoint.bundle / "config.json").read_text())
    config["id2label"] = {"0": "label 0", "1": "label 1"}
    del config["architectures"]  # a config that names no task
    (tmp_path / "config.json").write_text(json.dumps(config))
    tokenizer = checkpoint.bundle / "tokenizer.json"
    report = optimize(given, tmp_path / "text.onnx", text=True, tokenizer=tokenizer, task="text-classification")
    assert report.text is not None
    assert report.as_dict()["text"]["outputs"] == ["labels", "scores", "cut"]
    assert load(tmp_path / "text.onnx").run(CONTEXT).label.startswith("label ")
    with pytest.raises(BundleError, match=r"has no tokenizer.json .*, and --text puts it into the file; pass --to"):
        optimize(given, tmp_path / "other.onnx", text=True, task="text-classification")
    with pytest.raises(UsageError, match=r"text.onnx is a text file, and optimize reads files that take token ids"):
        optimize(tmp_path / "text.onnx", tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


def test_a_text_file_is_timed_on_texts_of_the_lengths(exported: Exports, tmp_path: Path) -> None:
    made, file = exported("question-answering"), tmp_path / "text.onnx"
    optimize(made.bundle, file, text=True)
    encoder = load(made.bundle).tokenizer
    with ExitStack() as stack:

        def build(name: str, *lengths: int, batch: int = 1) -> Subject:
            options: dict[str, Any] = {"task": None, "seed": 0, "kernels": "portable", "progress": None}
            return ModelBuilder(stack, seq_lens=lengths, batch=batch, **options).build(name).subject

        subject = build(str(file), 8, 24, 400, batch=2)
        assert subject.notes == ("reads texts: its time includes the tokenizer and the answer",)
        assert [*subject.inputs] == [8, 24]
        for length, path in subject.inputs.items():
            feed = read_inputs(path)
            size = len(feed["context"]) // 2
            assert feed["context_splits"].tolist() == [0, size, 2 * size]
            question, context = (feed[name][: len(feed[name]) // 2].tobytes().decode() for name in ("text", "context"))
            _, windows = encoder.windows(context, question)
            assert [len(window) for window in windows] == [length]
        with pytest.raises(UsageError, match=r"is a text file, and openvino: reads files that take token ids"):
            build(f"openvino:{file}", 24)
        with pytest.raises(UsageError, match=r"is a text file, and litert: converts checkpoints; give the one that it"):
            build(f"litert:{file}", 24)
        with pytest.raises(UsageError, match=r"takes 1 to 40 tokens; pass such a --seq-len"):
            build(f"portable:{file}", 400)


def test_doctor_measures_the_model_inside(checkpoint: Exported, texts: Path, tmp_path: Path) -> None:
    tokenizer = checkpoint.bundle / "tokenizer.json"
    optimize(checkpoint.bundle, tmp_path / "text.onnx", text=True)
    with pytest.raises(BundleError, match=r"has no tokenizer.json .*, and doctor measures it on texts; pass --tok"):
        doctor(tmp_path / "text.onnx", calibrate=texts)
    found = doctor(tmp_path / "text.onnx", calibrate=texts, tokenizer=tokenizer)
    assert (found.task, found.layers) == ("text-classification", ["embeddings", "layer.0", "layer.1", "head"])


def test_a_damaged_record_is_refused_by_inspect(checkpoint: Exported, tmp_path: Path) -> None:
    optimize(checkpoint.bundle, tmp_path / "text.onnx", text=True)
    model = onnx.load(tmp_path / "text.onnx")
    for change in ('{"limit": "x"}', '{"model": ["text.other"]}', "[]"):
        next(entry for entry in model.metadata_props if entry.key == TEXT).value = change
        onnx.save(model, tmp_path / "damaged.onnx")
        with pytest.raises(GraphError, match=r"export it again with --text"):
            inspect(tmp_path / "damaged.onnx")


@pytest.mark.full
def test_bench_of_a_text_file_beside_its_model_file(exported: Exports, tmp_path: Path) -> None:
    made, file = exported("question-answering"), tmp_path / "text.onnx"
    optimize(made.bundle, file, text=True)
    found = bench([file, made.bundle], seq_lens=[24], threads=[1], budget=0.1, kernels="portable", ragged=[3, 9])
    assert not found.failures
    assert [len(cell.measurements) for cell in found.cells] == [2]
    assert (found.ragged_models[0].left_out or "").startswith("it reads texts, and a ragged batch has token ids")


def changed(checkpoint: Path, tmp_path: Path, **parts: Any) -> Path:
    """A copy of a checkpoint with other parts of its tokenizer.json."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**content, **parts}))
    return folder


WORD_LEVEL = {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "The tokenizer's normalizer is Lowercase, expected BertNormalizer"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "The tokenizer's pre_tokenizer is Whitespace, expected BertPre"),
        (
            {"model": WORD_LEVEL, "post_processor": None, "added_tokens": []},
            "The tokenizer's model is WordLevel, expected WordPiece",
        ),
    ],
    ids=["normalizer", "pre-tokenizer", "model"],
)
def test_a_tokenizer_of_another_kind_is_refused_before_the_work(
    checkpoint: Exported, tmp_path: Path, parts: dict[str, Any], message: str
) -> None:
    folder = changed(checkpoint.checkpoint, tmp_path, **parts)
    with pytest.raises(GraphError, match=message):
        optimize(checkpoint.model, tmp_path / "a.onnx", text=True, tokenizer=folder)
    assert not (tmp_path / "a.onnx").exists()


def test_a_tokenizer_that_does_not_fit_is_refused(
    exported: Exports, runtime_tokenizer: BertTokenizerFast, tmp_path: Path
) -> None:
    made, number = exported("question-answering"), len(runtime_tokenizer)
    content = json.loads((made.checkpoint / "tokenizer.json").read_text())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    token = {"id": number, "content": "[NEW]", "special": True, **flags}
    more = changed(made.checkpoint, tmp_path, added_tokens=[*content["added_tokens"], token])
    found, added = rf"the model has {number} word embeddings, none for '\[NEW\]'", "remove them from its tokenizer.json"
    with pytest.raises(MbertError, match=rf"{found}.*: {added}, or call model.resize.* export it again\.$"):
        export(more, tmp_path / "bundle", text=True)
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(MbertError, match=rf"{found}.*: {added}, or pass --tokenizer with the .* the model\.$"):
        optimize(made.model, tmp_path / "a.onnx", text=True, tokenizer=more)
    (more / "tokenizer.json").write_text("{")
    with pytest.raises(BundleError, match=r"is not a tokenizer.json"):
        optimize(made.bundle, tmp_path / "a.onnx", text=True, tokenizer=more)


def test_a_checkpoint_without_a_tokenizer(checkpoint: Exported, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(checkpoint.checkpoint / name, folder)
    with pytest.raises(CheckpointError, match=r"has no tokenizer, and --text puts it into the model; put the check"):
        export(folder, tmp_path / "bundle", text=True)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("asked", "given", "message"),
    [
        (TextRequest(pair=True), {"task": QUESTION_ANSWERING}, "--text-pair is for text-classification of pairs; a is"),
        (TextRequest(pair=True), {"segments": 1}, "--text-pair needs a model of two token types, and a has one"),
        (TextRequest(text=True), {"batch": 8}, "--batch is 8; a text file has no fixed batch of several texts"),
    ],
)
def test_options_that_do_not_go_together(asked: TextRequest, given: dict[str, Any], message: str) -> None:
    values = {"task": TEXT_CLASSIFICATION, "segments": 2, **given}
    with pytest.raises(UsageError, match=message):
        asked.check(values.pop("task"), "a", **values)


def test_other_answers_are_refused(checkpoint: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = load(checkpoint.bundle)
    monkeypatch.setattr(TextFileModel, "classify", lambda self, text: ordinary.classify(text + "!"))
    with pytest.raises(VerificationError, match=r"gives other answers than model.onnx: scores differ by .*; nothing"):
        optimize(checkpoint.bundle, tmp_path / "a.onnx", text=True)
    assert not (tmp_path / "a.onnx").exists()
