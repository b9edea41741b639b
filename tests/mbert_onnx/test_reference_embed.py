"""The built-in model `reference:embed`: size, shape, and equal vectors in torch, transformers and onnxruntime."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from small_checkpoints import save_small
from transformers import MobileBertModel

import mbert_onnx
from examples.reference import pack
from mbert_onnx.bundles.model_file import find_file
from mbert_onnx.model.checkpoint import load_checkpoint, save_checkpoint
from mbert_onnx.model.padding import zero_padding
from mbert_onnx.reference import EMBED, FOLDER, FOLDERS
from mbert_onnx.runtime.loading import load
from mbert_onnx.runtime.model import Model
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY

ROOT = Path(__file__).parent.parent.parent
INSTALLED = FOLDERS[EMBED]

# Largest size of the installed files of one model in bytes.
MAX_BYTES = 8_000_000

# Tolerance of float32 for vectors of length 1.
CLOSE = 1e-5

QUESTION = "Which river flows through the city?"
PASSAGES = [
    "The river Rhine flows through the city of Cologne.",
    "A prime number has no positive divisors but 1 and itself.",
]


@pytest.fixture(scope="module")
def model() -> Model:
    return load(EMBED)


def test_it_is_small_and_in_the_wheel() -> None:
    files = [path for path in INSTALLED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES
    with safe_open(INSTALLED / "model.safetensors", "pt") as file:
        matrices = [name for name in file.keys() if name.endswith("dense.weight")]  # noqa: SIM118
        assert {file.get_tensor(name).dtype for name in matrices} == {torch.int8}
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert {path for pattern in data["mbert_onnx.reference"] for path in FOLDER.glob(pattern)} >= set(files)


def test_it_has_the_shape_of_mobilebert() -> None:
    checkpoint = load_checkpoint(EMBED)
    config = checkpoint.config
    assert checkpoint.task is SENTENCE_SIMILARITY
    assert config.num_hidden_layers >= 6
    assert config.num_feedforward_networks > 1
    assert config.normalization_type == "no_norm"
    assert config.use_bottleneck
    assert config.trigram_input
    assert config.intra_bottleneck_size < config.hidden_size


def test_its_vectors_compare_texts(model: Model) -> None:
    vectors = model.embed([QUESTION, *PASSAGES])
    assert vectors.shape == (3, model.config["hidden_size"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=CLOSE)
    near, far = vectors[1:] @ vectors[0]
    assert near > far + 0.1
    # A vector does not depend on the batch.
    np.testing.assert_allclose(model.embed([QUESTION])[0], vectors[0], atol=CLOSE)


def test_graph_torch_and_transformers_agree(model: Model, tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(5, 5_000, (3, 21))
    mask = np.ones_like(ids)
    mask[1, 9:] = 0
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    tensors = {name: torch.from_numpy(value) for name, value in feed.items()}
    checkpoint = load_checkpoint(EMBED)
    save_checkpoint(checkpoint, tmp_path)  # as the card says: transformers does not read int8
    bare = MobileBertModel.from_pretrained(tmp_path, add_pooling_layer=False).eval()
    with torch.no_grad():
        expected = checkpoint.model(**tensors).sentence_embedding
        states = bare(**tensors).last_hidden_state
    pooled = (states * tensors["attention_mask"][..., None]).sum(1) / tensors["attention_mask"].sum(1, keepdim=True)
    theirs = torch.nn.functional.normalize(pooled, dim=1)
    np.testing.assert_allclose(model.session.run(["sentence_embedding"], feed)[0], expected, atol=CLOSE)
    np.testing.assert_allclose(theirs, expected, atol=CLOSE)


def test_it_runs_its_optimized_graph(model: Model) -> None:
    file = model.bundle.model_path
    assert file.parent.name == "reference-embed"
    assert find_file(EMBED)[0] == INSTALLED / "model.onnx"


def test_its_name_is_no_prefix_of_bench(tmp_path: Path) -> None:
    from mbert_onnx.benchmark.models.prefixes import check_prefixes, parse

    assert parse(EMBED).prefix == ""
    assert parse(f"native:int8:{EMBED}").inner == f"int8:{EMBED}"
    check_prefixes(f"native:int8:{EMBED}")
    with pytest.raises(mbert_onnx.UsageError, match="reference:other: reference: is not a known prefix"):
        parse("reference:other")


@pytest.mark.full
def test_it_is_exported_like_any_checkpoint(tmp_path: Path, model: Model) -> None:
    report = mbert_onnx.export(EMBED, tmp_path / "bundle")
    assert report.restarts == 0
    record = json.loads((tmp_path / "bundle" / "mbert_onnx.json").read_text())
    assert record["checkpoint"] == EMBED
    assert (tmp_path / "bundle" / "modules.json").is_file()
    exported = load(tmp_path / "bundle").embed([QUESTION])
    np.testing.assert_allclose(exported, model.embed([QUESTION]), atol=CLOSE)


@pytest.mark.full
def test_a_packed_checkpoint_is_a_bundle_in_int8(
    tmp_path: Path, runtime_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_small(tmp_path / "bare", "MobileBertModel", vocab_size=len(runtime_tokenizer))
    (tmp_path / "checkpoint").mkdir()
    loaded = load_checkpoint(tmp_path / "bare", task="sentence-similarity")
    save_checkpoint(loaded, tmp_path / "checkpoint")
    runtime_tokenizer.save_pretrained(tmp_path / "checkpoint")
    pack.main(tmp_path / "checkpoint", tmp_path / "packed")
    bundle = load(tmp_path / "packed")
    vectors = bundle.embed(["ada wrote it", "the fox"])
    assert vectors.shape == (2, loaded.config.hidden_size)
    stored = load_checkpoint(tmp_path / "packed").model
    row = bundle.tokenizer.truncated("ada wrote it")[0].ids
    np.testing.assert_allclose(vectors[:1], stored(torch.tensor([row])).sentence_embedding, atol=CLOSE)
    # Each weight is off by half a step of its row at most, vectors by half precision.
    zero_padding(loaded.model)
    given = dict(loaded.model.named_parameters())
    for name, weight in stored.named_parameters():
        step = weight.abs().amax(-1, keepdim=True) / 127 if weight.dim() == 2 else weight.abs() / 2**10
        assert bool(((weight - given[name]).abs() <= 0.51 * step).all()), name
    monkeypatch.setattr(pack, "MAX_BYTES", 1000)
    with pytest.raises(SystemExit, match="expected at most 1,000; train a smaller student"):
        pack.main(tmp_path / "checkpoint", tmp_path / "again")
    assert not list((tmp_path / "again").iterdir())
