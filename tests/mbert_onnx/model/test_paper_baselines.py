"""The models that the paper compares MobileBERT with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_checkpoints import save_small

from mbert_onnx import UsageError, bench
from mbert_onnx.model import paper_baselines as architectures
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.model.paper_baselines import ARCHITECTURES, architecture_of, save_architecture
from mbert_onnx.text.tasks import MULTIPLE_CHOICE, QUESTION_ANSWERING, TEXT_CLASSIFICATION
from perf.machine import footprint

SMALL: dict[str, Any] = {"num_hidden_layers": 1, "hidden_size": 24, "intermediate_size": 32, "vocab_size": 60}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same classes in a size for tests."""
    monkeypatch.setattr(footprint, "LOADS", 1)
    distil = {"n_layers": 1, "dim": 24, "hidden_dim": 32, "n_heads": 2, "vocab_size": 60}
    monkeypatch.setitem(architectures.ARCHITECTURES, "tinybert-4", ("Bert", SMALL))
    monkeypatch.setitem(architectures.ARCHITECTURES, "distilbert", ("DistilBert", distil))


def test_names() -> None:
    assert architecture_of("random:bert-base") == "bert-base"
    assert architecture_of("random:tiny") is None
    assert architecture_of("bert-base") is None


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "millions"), [("bert-base", 109), ("distilbert", 66), ("tinybert-4", 14.5), ("tinybert-6", 67)]
)
def test_they_are_as_large_as_published(name: str, millions: float, tmp_path: Path) -> None:
    """In millions, by the papers' tables (BERT_BASE 108.3 with its pooler, which question answering lacks)."""
    model = save_architecture(name, tmp_path, task=QUESTION_ANSWERING, seed=0)
    assert model.num_parameters() / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.usefixtures("small")
@pytest.mark.full
def test_each_is_timed_beside_ours(tmp_path: Path) -> None:
    save_small(tmp_path / "small")
    names = ["transformers:random:tinybert-4", "transformers:random:distilbert", "torch:random:distilbert"]
    report = bench(names, seq_lens=[4], threads=[1], budget=0.1)
    assert not report.failures
    assert [item.name for item in report.subjects] == names
    assert report.subjects[2].runtime.startswith("torch")
    distil = report.cells[0].measurements[1]
    assert distil.runs > 0


@pytest.mark.usefixtures("small")
def test_a_seed_gives_the_same_weights_and_a_task_its_class(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_architecture("tinybert-4", tmp_path / name, task=TEXT_CLASSIFICATION, seed=3)
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b"))
    assert one == two
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]


def test_a_task_without_a_class_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "odd", ("TapexNoSuch", {}))
    with pytest.raises(UsageError, match="--task is multiple-choice, which transformers has no class of random:odd"):
        save_architecture("odd", tmp_path, task=MULTIPLE_CHOICE, seed=0)


@pytest.mark.parametrize(
    ("preset", "norm", "activation"),
    [
        ("layer-norm", "layer_norm", "relu"),
        ("gelu", "no_norm", "gelu"),
        ("layer-norm-gelu", "layer_norm", "gelu"),
    ],
)
def test_what_the_operational_optimizations_replace(
    preset: str, norm: str, activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mbert_onnx.model.presets import mobilebert_config

    config = mobilebert_config(preset)
    assert (config.normalization_type, config.hidden_act) == (norm, activation)
    with pytest.raises(
        UsageError, match=r"known: reference, reference:embed, random, random:tiny, .*random:layer-norm-gelu"
    ):
        load_checkpoint("random:bert-base")
