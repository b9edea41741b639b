"""The student for sentence similarity: its vectors, what pads them, and its folder in sentence-transformers' format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from exported_checkpoints import SentenceModel
from small_checkpoints import save_small
from transformers import MobileBertModel

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mbert_onnx.model.checkpoint_files.sentence_files import write_sentence_files
from mbert_onnx.model.student import MeanPooling
from mbert_onnx.text.sentence_embedding import SENTENCE_FILES, EmbeddingSettings
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY


@pytest.fixture
def loaded(tmp_path: Path) -> Checkpoint:
    """A checkpoint for sentence similarity, whose folder transformers wrote."""
    save_small(tmp_path / "theirs", "MobileBertModel")
    return load_checkpoint(tmp_path / "theirs", task="sentence-similarity")


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(3, 9, dtype=torch.int64)
    mask[1, 4:] = 0
    mask[2, 1:] = 0
    return {"input_ids": torch.randint(1, 90, mask.shape, generator=generator) * mask, "attention_mask": mask}


def test_vectors_are_those_of_sentence_transformers(loaded: Checkpoint, tmp_path: Path) -> None:
    assert loaded.task is SENTENCE_SIMILARITY
    theirs = SentenceModel(MobileBertModel.from_pretrained(tmp_path / "theirs").eval())
    with torch.no_grad():
        found, wanted = loaded.model(**batch()), theirs(**batch())
    torch.testing.assert_close(found.sentence_embedding, wanted.sentence_embedding, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.sentence_embedding.norm(dim=1), torch.ones(3))


def test_a_saved_folder_has_modules_and_the_names_of_the_bare_model(loaded: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    save_checkpoint(loaded, folder)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "config.json",
        "model.safetensors",
        *SENTENCE_FILES,
    }
    bare, info = MobileBertModel.from_pretrained(folder, add_pooling_layer=False, output_loading_info=True)
    assert bare.pooler is None
    assert not any(info.values())
    again = load_checkpoint(folder)
    assert again.task is SENTENCE_SIMILARITY
    assert again.sentence_embedding()[0] == loaded.sentence_embedding()[0]
    with torch.no_grad():
        torch.testing.assert_close(again.model(**batch()), loaded.model(**batch()), rtol=0, atol=0)


@pytest.mark.parametrize("normalize", [True, False])
def test_settings_come_back(normalize: bool, tmp_path: Path) -> None:
    settings = EmbeddingSettings(24, normalize=normalize, do_lower_case=True, prompt="query: ")
    save_small(tmp_path, "MobileBertModel")
    write_sentence_files(tmp_path, settings, 64)
    found = load_checkpoint(tmp_path)
    assert found.sentence_embedding()[0] == settings
    pooling = found.model.pooling
    assert isinstance(pooling, MeanPooling)
    assert pooling.normalize is normalize


def test_pooling_in_float16_does_not_overflow() -> None:
    states = torch.full((1, 512, 16), 3e4, dtype=torch.float16)
    found = MeanPooling()(states, torch.ones(1, 512, dtype=torch.int64))
    torch.testing.assert_close(found, torch.full((1, 16), 0.25, dtype=torch.float16), rtol=2e-3, atol=0)


def test_a_text_without_tokens_has_zeros() -> None:
    assert MeanPooling()(torch.randn(1, 3, 4), torch.zeros(1, 3, dtype=torch.int64)).abs().max() == 0


def test_normalized_tokens_are_refused(tmp_path: Path) -> None:
    save_small(tmp_path, "MobileBertModel")
    write_sentence_files(tmp_path, EmbeddingSettings(24, normalize=True), 64)
    (tmp_path / "2_Normalize").mkdir()
    (tmp_path / "2_Normalize" / "config.json").write_text(json.dumps({"module_input_name": "token_embeddings"}))
    with pytest.raises(CheckpointError, match=r"its Normalize module is not of sentence_embedding; expected"):
        load_checkpoint(tmp_path)
