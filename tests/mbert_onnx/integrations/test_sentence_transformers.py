"""Folders and bundles for sentence similarity open in sentence-transformers, whose `encode` returns our vectors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exported_checkpoints import Exports

import mbert_onnx
from mbert_onnx import load
from mbert_onnx.model.student import MeanPooling

pytestmark = [pytest.mark.full, pytest.mark.filterwarnings("ignore")]
theirs = pytest.importorskip("sentence_transformers", exc_type=ImportError)
modules_of_theirs = pytest.importorskip("sentence_transformers.models", exc_type=ImportError)

TEXTS = [
    "Ada wrote the first program.",
    "who wrote it ?",
    "the quick brown fox jumps over the lazy dog near the river in paris . " * 9,
]


def assert_encodes(model: Any, texts: list[str], vectors: np.ndarray) -> None:
    """Text by text: the embedding of [PAD] in small checkpoints is not zero, so that padding changes their vectors."""
    np.testing.assert_allclose(model.encode(texts, batch_size=1), vectors, rtol=1e-4, atol=1e-5)


def test_pooling_is_theirs() -> None:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(3, 7, 16, generator=generator)
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6])
    for normalize in (True, False):
        modules = [
            modules_of_theirs.Pooling(16, pooling_mode="mean"),
            *([modules_of_theirs.Normalize()] if normalize else []),
        ]
        features = {"token_embeddings": states, "attention_mask": mask}
        for module in modules:
            features = module(features)
        torch.testing.assert_close(MeanPooling(normalize)(states, mask), features["sentence_embedding"])


def test_a_checkpoint_and_its_bundle_encode_alike(exported: Exports) -> None:
    files = exported("sentence-similarity")
    vectors = load(files.bundle).embed(TEXTS)
    for folder, backend in ((files.checkpoint, "torch"), (files.bundle, "onnx")):
        model = theirs.SentenceTransformer(str(folder), device="cpu", backend=backend)
        assert_encodes(model, TEXTS, vectors)
        assert model.max_seq_length == files.metadata["sentence_embedding"]["max_seq_length"]


def test_a_folder_that_they_write_is_exported(exported: Exports, tmp_path: Path) -> None:
    """With a default prompt, lower case, no Normalize, and the checkpoint where their newest version puts it."""
    source = exported("sentence-similarity").checkpoint
    transformer = modules_of_theirs.Transformer(str(source), max_seq_length=16)
    pooling = modules_of_theirs.Pooling(transformer.get_word_embedding_dimension(), pooling_mode="mean")
    model = theirs.SentenceTransformer(
        modules=[transformer, pooling], device="cpu", prompts={"query": "who ? "}, default_prompt_name="query"
    )
    model.save_pretrained(str(tmp_path / "theirs"))
    report = mbert_onnx.export(tmp_path / "theirs", tmp_path / "bundle")
    assert any("the mean of a text's first 16 tokens" in note for note in report.notes)
    vectors = load(tmp_path / "bundle").embed(TEXTS)
    assert_encodes(model, TEXTS, vectors)
    again = theirs.SentenceTransformer(str(tmp_path / "bundle"), device="cpu", backend="onnx")
    assert_encodes(again, TEXTS, vectors)


def test_their_onnx_export_is_read(exported: Exports, tmp_path: Path) -> None:
    """`backend="onnx"` exports a folder without a file of onnx by optimum: a bundle of hidden states and vectors."""
    source = exported("sentence-similarity").checkpoint
    shutil.copytree(source, tmp_path / "source")
    model = theirs.SentenceTransformer(str(tmp_path / "source"), device="cpu", backend="onnx")
    model.save_pretrained(str(tmp_path / "theirs"))
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    assert config["architectures"] == ["MobileBertModel"]
    assert_encodes(model, TEXTS[:2], load(tmp_path / "theirs").embed(TEXTS[:2], normalize=True))
