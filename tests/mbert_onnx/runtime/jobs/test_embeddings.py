"""`embed` of a file for sentence similarity, whose output is the vector that sentence-transformers computes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from exported_checkpoints import Exported, Exports

from mbert_onnx import load
from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.model import Model

TEXTS = (
    "Ada wrote the first program.",
    "who wrote it ?",
    "the quick brown fox jumps over the lazy dog near the river in paris . " * 3,
)


@pytest.fixture
def files(exported: Exports) -> Exported:
    return exported("sentence-similarity")


def expected(files: Exported, model: Model, longest: int) -> np.ndarray:
    vectors = []
    for text in TEXTS:
        [row, *_] = model.tokenizer.windows(text, max_seq_len=longest, stride=0)[1]
        with torch.no_grad():
            ids = torch.tensor([row.ids])
            vectors.append(files.theirs(input_ids=ids, attention_mask=torch.ones_like(ids)).sentence_embedding[0])
    return torch.stack(vectors).numpy()


def test_vectors_are_the_files_own(files: Exported) -> None:
    model = load(files.bundle)
    assert model.task.name == "sentence-similarity"
    longest = files.metadata["sentence_embedding"]["max_seq_length"]
    wanted = expected(files, model, longest)
    found = model.embed(TEXTS)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.stack([model.embed(text) for text in TEXTS]), found, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.stack(list(model.stream(TEXTS))), found)
    np.testing.assert_allclose(model.run(TEXTS[0], normalize=True), found[0], rtol=1e-5, atol=1e-6)
    assert model.embed([]).shape == (0, found.shape[1])
    windows = model.embed(TEXTS, stride=5)
    np.testing.assert_allclose(windows[:2], found[:2], rtol=1e-4, atol=1e-5)  # one window, from hidden states
    assert np.abs(windows[2] - found[2]).max() > 1e-3


def test_a_file_of_vectors_alone_and_without_settings(files: Exported, tmp_path: Path) -> None:
    shutil.copytree(files.bundle, tmp_path, dirs_exist_ok=True)
    (tmp_path / "mbert_onnx.json").unlink()
    [path] = (tmp_path / "onnx").glob("*.onnx")
    graph = onnx.load(path)
    [states] = [output for output in graph.graph.output if output.name == "last_hidden_state"]
    graph.graph.output.remove(states)
    onnx.save(graph, path)
    model = load(tmp_path)
    assert model.task.name == "sentence-similarity"
    positions = model.config["max_position_embeddings"]
    np.testing.assert_allclose(model.embed(TEXTS), expected(files, model, positions), rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match=r"--stride is for files with the output last_hidden_state, which .* lacks"):
        model.embed(TEXTS[0], stride=5)
