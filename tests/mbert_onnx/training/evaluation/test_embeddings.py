"""`evaluate --task retrieval` and `--task sts`: ranks, intervals, files, and models of every kind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import transformers
from exported_checkpoints import Exports
from text_encoders import word_encoder
from typer.testing import CliRunner

from mbert_onnx import Columns, evaluate, load
from mbert_onnx.benchmark.models.from_checkpoint import save
from mbert_onnx.cli.application import app
from mbert_onnx.errors import CheckpointError, DataError, UsageError
from mbert_onnx.model.other_berts import positions_of
from mbert_onnx.reference import FOLDER
from mbert_onnx.text.sentence_embedding import read_modules
from mbert_onnx.training.data.retrieval import read_retrieval
from mbert_onnx.training.evaluation.embeddings import _mean_over, ranking_of

PARAGRAPHS = [f"paragraph {number} of the river near paris , who wrote word{number} ?" for number in range(4)]
ROWS = [(f"who wrote word{number % 4} ?", PARAGRAPHS[number % 4]) for number in range(6)]


def put_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def squad(tmp_path: Path) -> Path:
    rows: list[dict[str, object]] = [
        {"id": str(n), "question": q, "context": c, "answers": ["x"]} for n, (q, c) in enumerate(ROWS)
    ]
    return put_rows(tmp_path / "questions.jsonl", rows)


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A RoBERTa, whose position embeddings begin behind the padding id."""
    folder = tmp_path / "bert"
    config = transformers.RobertaConfig(
        vocab_size=500,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=66,
        type_vocab_size=1,
    )
    other = transformers.RobertaForMaskedLM(config)
    other.save_pretrained(folder)
    assert positions_of(other.roberta) == 64
    word_encoder(folder, " ".join(PARAGRAPHS))
    return folder


def test_ranks_are_those_of_the_sorted_cosines() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(1300 + 30, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    questions, paragraphs, relevant = vectors[:1300], vectors[1300:], random.integers(0, 30, 1300)
    ranking = ranking_of(questions, paragraphs, relevant)
    order = (-(questions @ paragraphs.T)).argsort(axis=1)
    expected = (order == relevant[:, None]).argmax(axis=1) + 1
    np.testing.assert_array_equal(ranking.ranks, expected)
    np.testing.assert_array_equal(ranking.first, order[:, 0])
    values = ranking.values()
    assert values["recall@5"].mean() == (expected <= 5).mean()
    assert values["mrr"].mean() == pytest.approx((1 / expected).mean())


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_equal_vectors_and_nan_find_nothing(value: float) -> None:
    same = np.full((3, 2), value, np.float32)
    assert ranking_of(same, same, np.arange(3)).ranks.tolist() == [3, 3, 3]


def test_intervals_are_over_paragraphs() -> None:
    groups = np.repeat(np.arange(20), 10)
    found = _mean_over(groups % 2 == 0, groups, seed=0)
    assert found.value == 0.5
    assert found.low is not None
    assert found.high is not None
    assert 0.35 < found.high - found.low < 0.55  # that of 20 texts; of 200 it would be 0.14
    all_right = _mean_over(np.ones(200, dtype=bool), groups, seed=0)
    assert (all_right.value, all_right.high) == (1, 1)
    assert all_right.low == pytest.approx(0.84, abs=0.01)


def test_retrieval_compares_models_of_every_kind(exported: Exports, bert: Path, squad: Path, tmp_path: Path) -> None:
    files = exported("sentence-similarity")
    names = [str(files.checkpoint), str(files.bundle), str(bert), f"ort-dynamic:{files.bundle}"]
    [found] = evaluate(names, task="retrieval", data=squad, kernels="portable", json=tmp_path / "found.json")
    first, bundle, roberta, quantized = found.standings
    assert list(first.scores) == ["recall@1", "recall@5", "recall@10", "mrr"]
    assert found.texts == 6
    assert first.scores["recall@5"].value == 1  # of four paragraphs
    assert bundle.scores["mrr"] == first.scores["mrr"]
    assert bundle.differences["mrr"].value == 0
    assert bundle.agreement == 1
    assert bundle.cosine == pytest.approx(1, abs=1e-4)
    assert roberta.cosine is None
    assert quantized.cosine == pytest.approx(1, abs=0.1)
    model = load(files.bundle, kernels="portable")
    questions, paragraphs = (model.embed(texts, normalize=True) for texts in ([q for q, _ in ROWS], PARAGRAPHS))
    relevant = np.array([PARAGRAPHS.index(context) for _, context in ROWS])
    expected = ranking_of(np.array(questions), np.array(paragraphs), relevant)
    assert bundle.by_text["mrr"] == pytest.approx(1 / expected.ranks)
    [written] = json.loads((tmp_path / "found.json").read_text())
    assert written["standings"][1]["cosine"] == bundle.cosine


def test_a_folder_of_sentence_transformers_truncates_texts(exported: Exports, squad: Path, tmp_path: Path) -> None:
    folder = tmp_path / "st"
    shutil.copytree(exported("feature-extraction").checkpoint, folder / "0_Transformer")
    modules = [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    (folder / "modules.json").write_text(json.dumps([{"path": path, "type": kind} for path, kind in modules]))
    (folder / "0_Transformer" / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 8}))
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode": "mean"}))
    [found] = evaluate(str(folder), task="retrieval", data=squad)
    assert found.standings[0].cut == 4
    assert any("4 of 10 texts exceed" in note for note in found.notes)
    pooling.write_text(json.dumps({"pooling_mode": "cls"}))
    with pytest.raises(CheckpointError, match="its pooling is cls; expected"):
        evaluate(str(folder), task="retrieval", data=squad)


def test_similarities_are_compared_with_those_of_the_file(exported: Exports, tmp_path: Path) -> None:
    files = exported("sentence-similarity")
    texts = ["Ada wrote the first program.", "who wrote it ?", "the quick brown fox", "the river near paris ."]
    vectors = np.array(load(files.bundle).embed(texts, normalize=True))
    cosines = (vectors[:-1] * vectors[1:]).sum(axis=1)
    pairs = zip(texts, texts[1:], cosines, strict=False)
    rows: list[dict[str, object]] = [{"a": a, "b": b, "similarity": float(cosine)} for a, b, cosine in pairs]
    data = put_rows(tmp_path / "pairs.jsonl", rows)
    options = ["--task", "sts", "--data", str(data), "--text", "a", "--pair", "b", "--label", "similarity"]
    shown = CliRunner().invoke(app, ["evaluate", str(files.checkpoint), str(files.bundle), *options])
    assert shown.exit_code == 0, shown.output
    assert "3 pairs" in shown.stdout
    assert "spearman" in shown.stdout
    [found] = evaluate(files.checkpoint, task="sts", data=data, columns=Columns("a", "b", "similarity"))
    assert found.standings[0].scores["spearman"].value == pytest.approx(1)


def test_decoders_and_other_tasks_are_refused(squad: Path, tmp_path: Path) -> None:
    transformers.GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=9).save_pretrained(tmp_path / "gpt")
    with pytest.raises(CheckpointError, match="is a model of the type gpt2; expected an encoder"):
        evaluate(tmp_path / "gpt", task="retrieval", data=squad)
    with pytest.raises(UsageError, match="has the task text-classification; expected sentence-similarity"):
        evaluate(FOLDER, task="retrieval", data=squad)  # as a bundle


def test_another_encoder_is_saved_for_the_tools_that_convert_it(bert: Path, tmp_path: Path) -> None:
    """With the settings of sentence-transformers, which `evaluate` reads beside what a tool made of it."""
    modules = [{"path": path, "type": kind} for path, kind in (("", "Transformer"), ("1_Pooling", "Pooling"))]
    (bert / "modules.json").write_text(json.dumps(modules))
    (bert / "1_Pooling").mkdir()
    (bert / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "mean"}))
    (bert / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 8}))
    folder = tmp_path / "saved"
    saved = save("torch", str(bert), folder, task=None, seed=0)
    assert (saved.architecture, saved.outputs) == ("RobertaModel", ("last_hidden_state",))
    assert (saved.max_positions, saved.layers) == (64, 1)
    read = read_modules("saved", folder)
    assert read is not None
    assert read.embedding_settings(64)[0].max_seq_length == 8
    reader = saved.find_reader()
    assert reader is not None
    assert reader.task.name == "sentence-similarity"


def test_retrieval_files(squad: Path, tmp_path: Path) -> None:
    found = read_retrieval(squad, "")
    assert found.paragraphs == PARAGRAPHS
    assert found.relevant.tolist() == [0, 1, 2, 3, 0, 1]
    held_out = Columns("question", "context", None, id="id", every=3)
    assert read_retrieval(squad, "", held_out).questions == [ROWS[0][0], ROWS[3][0]]
    answered = {"question": "who ?", "id": "1", "answers": [{"text": "A", "answer_start": 0}]}
    impossible = {"question": "why ?", "id": "2", "answers": [], "is_impossible": True}
    paragraphs = [{"context": "A was here", "qas": [answered]}, {"context": "B", "qas": [impossible]}]
    data = tmp_path / "squad.json"
    data.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    read = read_retrieval(data, "")
    assert (read.questions, read.paragraphs, len(read.notes)) == (["who ?"], ["A was here", "B"], 1)
    with pytest.raises(DataError, match="has one paragraph; expected several"):
        read_retrieval(put_rows(tmp_path / "one.jsonl", [{"question": "q", "context": "c"}]), "")
    with pytest.raises(UsageError, match="needs a column of paragraphs; name it with --pair"):
        read_retrieval(squad, "", Columns())
