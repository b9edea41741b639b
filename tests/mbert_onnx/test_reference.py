"""The built-in model `reference`: size, shape, and equal results in torch, transformers and onnxruntime."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from small_checkpoints import names_in
from transformers import MobileBertForSequenceClassification

import mbert_onnx
from mbert_onnx.bundles.model_file import find_file, is_file
from mbert_onnx.model.checkpoint import load_checkpoint, save_checkpoint
from mbert_onnx.model.other_berts import is_other_bert
from mbert_onnx.reference import FOLDER
from mbert_onnx.runtime import reference_graph
from mbert_onnx.runtime.answers import Classification
from mbert_onnx.runtime.loading import load
from mbert_onnx.runtime.model import Model
from mbert_onnx.runtime.native_kernels import why_not_native

ROOT = Path(__file__).parent.parent.parent

# Tolerance of float32 for logits of a few units.
CLOSE = 1e-4

# Largest size of its installed files in bytes.
MAX_BYTES = 8_000_000

SENTIMENTS = {
    "A warm, funny and deeply moving film.": "positive",
    "One of the best movies of the year.": "positive",
    "A beautiful story, wonderfully acted.": "positive",
    "The plot is dull and the jokes are not funny.": "negative",
    "A bad movie: boring, predictable and far too long.": "negative",
    "It is a mess, and a waste of time.": "negative",
}


@pytest.fixture(scope="module")
def model() -> Model:
    return load("reference")


@pytest.mark.parametrize(("text", "label"), SENTIMENTS.items())
def test_it_classifies_sentiment(model: Model, text: str, label: str) -> None:
    answer = model.run(text)
    assert isinstance(answer, Classification)
    assert answer.label == label


def test_it_has_the_shape_of_mobilebert() -> None:
    config = load_checkpoint("reference").config
    assert config.num_hidden_layers >= 12
    assert config.num_feedforward_networks == 4
    assert config.normalization_type == "no_norm"
    assert config.use_bottleneck
    assert config.trigram_input
    assert config.intra_bottleneck_size < config.hidden_size
    assert config.id2label == {0: "negative", 1: "positive"}


def test_it_is_small_and_in_the_wheel() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MAX_BYTES
    with safe_open(FOLDER / "model.safetensors", "pt") as file:
        matrices = [name for name in file.keys() if name.endswith("dense.weight")]  # noqa: SIM118
        assert {file.get_tensor(name).dtype for name in matrices} == {torch.int8}
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    listed = {path for pattern in data["mbert_onnx.reference"] for path in FOLDER.glob(pattern)}
    assert listed == {path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}


def test_an_answer_does_not_depend_on_the_batch(model: Model) -> None:
    # Negative alone and positive when padded, before the embedding of [PAD] was zero.
    row, _ = model.tokenizer.truncated("It is what it is")
    alone = model.logits([row.ids])["logits"]
    assert alone.argmax() == 0
    for length in (len(row) + 1, 64):
        ids, mask = np.zeros((2, length), np.int64)
        ids[: len(row)], mask[: len(row)] = row.ids, 1
        padded = model.logits(ids[None], mask[None])["logits"]
        np.testing.assert_allclose(padded, alone, atol=CLOSE)


def test_graph_torch_and_transformers_agree(model: Model, tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(5, 5_000, (3, 21))
    mask = np.ones_like(ids)
    mask[1, 9:] = 0
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    ours = model.session.run(["logits"], feed)[0]
    tensors = {name: torch.from_numpy(value) for name, value in feed.items()}
    checkpoint = load_checkpoint("reference")
    save_checkpoint(checkpoint, tmp_path)  # as the card says: transformers does not read int8
    theirs = MobileBertForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        expected = checkpoint.model(**tensors).logits
        theirs_logits = theirs(**tensors).logits
    assert np.ptp(expected.numpy()) > 1
    np.testing.assert_allclose(ours, expected, atol=CLOSE)
    np.testing.assert_allclose(theirs_logits, expected, atol=CLOSE)


def test_it_is_exported_like_any_checkpoint(tmp_path: Path) -> None:
    report = mbert_onnx.export("reference", tmp_path / "bundle")
    assert report.restarts == 0
    text = next(iter(SENTIMENTS))
    answer = mbert_onnx.run(tmp_path / "bundle", text)
    assert isinstance(answer, Classification)
    assert answer.label == SENTIMENTS[text]
    metadata = (tmp_path / "bundle" / "mbert_onnx.json").read_text()
    assert '"checkpoint": "reference"' in metadata


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MBERT_ONNX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "reference"


def test_it_runs_its_optimized_graph(model: Model) -> None:
    """With it, the native kernels compute its blocks."""
    file = model.bundle.model_path
    assert not file.is_relative_to(FOLDER)
    kinds = [node.op_type for node in onnx.load(file).graph.node]
    assert {"Encoder", "Embeddings"} <= set(kinds)
    assert len(kinds) < 100
    assert why_not_native(file) is None


def test_its_graph_is_optimized_once(
    cache: Path, model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def optimize(given: Path, output: Path) -> None:
        calls.append(given)
        shutil.copy(model.bundle.model_path, output)

    monkeypatch.setattr(reference_graph, "_optimize", optimize)
    first, second = load("reference"), load("reference")
    assert calls == [FOLDER / "model.onnx"]
    assert first.bundle.model_path == second.bundle.model_path
    assert names_in(cache) == [first.bundle.model_path.name]
    assert f"reference: optimizing its graph once, into {cache}" in caplog.text
    for _ in range(3):  # other versions of the passes: few graphs are kept
        monkeypatch.setattr(reference_graph, "__version__", str(len(calls)))
        last = load("reference").bundle.model_path
    assert len(calls) == 4
    assert last.name in names_in(cache)
    assert len(names_in(cache)) == reference_graph.KEPT


@pytest.mark.parametrize("damage", [lambda content: content[:-99], lambda content: content[:-9] + b"\0" * 9])
def test_a_damaged_graph_in_the_cache_is_created_anew(
    damage: Callable[[bytes], bytes],
    cache: Path,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = model.bundle.model_path.read_bytes()
    monkeypatch.setattr(reference_graph, "_optimize", lambda _, output: output.write_bytes(content))
    file = load("reference").bundle.model_path
    file.write_bytes(damage(content))
    assert load("reference").bundle.model_path == file
    assert file.read_bytes() == content
    assert f"reference: {file} is damaged, and is created anew" in caplog.text
    assert names_in(cache) == [file.name]


def no_home() -> None:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("fault", ["file", "home", "pass"])
def test_without_a_cache_it_runs_as_it_is_and_says_so(
    fault: str, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    line = f"{cache} cannot be written (Not a directory); set MBERT_ONNX_CACHE to another folder"
    if fault == "file":
        cache.parent.write_text("a file")
    elif fault == "home":
        monkeypatch.setattr("perf.sessions.environments.cache_folder", no_home)
        line = "there is no folder for a cache (Could not determine home directory.); set MBERT_ONNX_CACHE to one"
    else:
        monkeypatch.setattr(reference_graph, "_optimize", lambda *_: no_home())
        line = "Could not determine home directory."
    model = load("reference")
    assert model.bundle.model_path == FOLDER / "model.onnx"
    text = next(iter(SENTIMENTS))
    assert model.run(text).label == SENTIMENTS[text]
    assert f"reference runs its graph as it is, slower and without the native kernels: {line}" in caplog.text
    assert fault == "file" or not cache.exists() or names_in(cache) == []


def test_a_folder_of_that_name_is_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "config.json").write_text('{"model_type": "bert"}')
    assert load("reference").bundle.folder == FOLDER
    with pytest.raises(mbert_onnx.BundleError, match="has no onnx/model"):
        load("./reference/")
    assert not is_other_bert("reference")
    assert is_other_bert("./reference/")
    assert find_file("reference")[0] == FOLDER / "model.onnx"


def test_a_bundle_of_that_name_is_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FOLDER, tmp_path / "reference")
    assert not is_file("reference")
    assert is_file("./reference/")


def test_its_graph_is_optimized_like_any_file(tmp_path: Path, model: Model) -> None:
    report = mbert_onnx.optimize("reference", tmp_path / "model.onnx")
    assert report.changed
    assert report.restarts == 0
    kinds = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert {"Encoder", "Embeddings"} <= kinds
    ids = np.random.default_rng(1).integers(5, 5_000, (2, 13))
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    optimized = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(["logits"], feed)[0]
    np.testing.assert_allclose(optimized, model.session.run(["logits"], feed)[0], atol=CLOSE)
