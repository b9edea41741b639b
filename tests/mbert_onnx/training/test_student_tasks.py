"""Small distillations to sentence embeddings, and to shorter students of models with and without a head."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_recipes import STUDENT, finetune_recipe, training, write_recipe

from mbert_onnx import finetune, transfer
from mbert_onnx.errors import UsageError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.model.student import MobileBertForSentenceSimilarity
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY, TEXT_CLASSIFICATION


def curve(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]


def sentence_recipe(folder: Path, corpus: Path, teacher: Path, output: Path, **changes: Any) -> Path:
    """Writes a recipe of a student of sentence embeddings with as many words, but one layer, and wider."""
    return write_recipe(
        folder / f"{output.name}.toml",
        output=output,
        teacher={"checkpoint": teacher},
        student={"task": "sentence-similarity", "preset": "laptop", "config": {**STUDENT, "hidden_size": 48}},
        data={"mix": [{"files": [corpus], "passages": [6, 18], "weight": 2}, {"files": [corpus]}], "max_length": 24},
        transfer={"strategy": "auxiliary", "layers": "last", "steps": 30, "distillation_steps": 0},
        training=training(batch_tokens=400, save_every=10),
        **changes,
    )


class Stopped(BaseException):
    """Stands for a signal that ends a training."""


def stop_at(step: int) -> Callable[..., None]:
    def tell(_name: str, now: int, _steps: int, _losses: dict[str, float]) -> None:
        if now == step:
            raise Stopped

    return tell


def test_sentence_embeddings_are_learnt_and_resumed(tmp_path: Path, corpus: Path, teacher: Path) -> None:
    whole = transfer(sentence_recipe(tmp_path, corpus, teacher, tmp_path / "whole"))
    points = curve(tmp_path / "whole")
    assert {*points[0]["losses"]} == {"loss", "feature_maps", "attention", "vectors", "similarities"}
    assert points[-1]["losses"]["vectors"] < 0.8 * points[0]["losses"]["vectors"]
    recipe = sentence_recipe(tmp_path, corpus, teacher, tmp_path / "stopped")
    with pytest.raises(Stopped):
        transfer(recipe, tell=stop_at(20))
    assert transfer(recipe) == tmp_path / "stopped" / "model"
    for name, weight in load_file(whole / "model.safetensors").items():
        assert torch.equal(weight, load_file(tmp_path / "stopped" / "model" / "model.safetensors")[name])
    read = load_checkpoint(whole)
    assert read.task is SENTENCE_SIMILARITY
    assert isinstance(read.model, MobileBertForSentenceSimilarity)
    assert json.loads((whole / "modules.json").read_text())[1]["path"] == "1_Pooling"
    # A shorter student of it learns its vectors, and is of the same kind.
    short = write_recipe(
        tmp_path / "short.toml",
        output=tmp_path / "short",
        teacher={"checkpoint": whole},
        student={"layers": 1},
        data={"files": [corpus], "max_length": 24},
        transfer={"strategy": "shorten", "steps": 10, "distillation_steps": 10},
        training=training(batch_tokens=400),
    )
    assert load_checkpoint(transfer(short)).task is SENTENCE_SIMILARITY
    names = [(point["name"], {*point["losses"]}) for point in curve(tmp_path / "short")]
    assert names == [
        ("transfer", {"loss", "feature_maps", "attention"}),
        ("distillation", {"loss", "vectors", "similarities"}),
    ]


def shorten_recipe(folder: Path, corpus: Path, teacher: Path | str, **changes: Any) -> Path:
    tables: dict[str, Any] = {
        "output": folder / "short",
        "teacher": {"checkpoint": teacher},
        "student": {"layers": [0]},
        "data": {"files": [corpus], "max_length": 24},
        "transfer": {"strategy": "shorten", "steps": 10, "distillation_steps": 10},
        "training": training(),
    }
    return write_recipe(folder / "short.toml", **{**tables, **changes})


def test_a_shorter_classifier_keeps_head_and_labels_through_fine_tuning(
    tmp_path: Path, corpus: Path, labels: Path, classifier: Path
) -> None:
    short = transfer(shorten_recipe(tmp_path, corpus, classifier))
    read, whole = load_checkpoint(short), load_checkpoint(classifier)
    assert read.task is TEXT_CLASSIFICATION
    assert (read.config.num_hidden_layers, read.config.id2label) == (1, whole.config.id2label)
    assert {*curve(tmp_path / "short")[-1]["losses"]} == {"loss", "logits"}
    still = training(steps=1, learning_rate=1e-12)
    teacher = {"checkpoint": classifier, "alpha": 0.5}
    tuned = finetune(finetune_recipe(tmp_path, labels, short, tmp_path / "tuned", training=still, teacher=teacher))
    for name in ("classifier.weight", "classifier.bias", "mobilebert.embeddings.word_embeddings.weight"):
        before, after = (load_file(folder / "model.safetensors")[name] for folder in (short, tuned))
        assert torch.allclose(before, after, atol=1e-6)


@pytest.mark.parametrize(
    ("student", "transfer_table", "data", "says"),
    [
        ({"layers": 2}, {}, {}, "student.layers keeps all 2 layers of the teacher; give fewer"),
        ({"layers": [0, 2]}, {}, {}, "but the teacher has 2 layers, 0 to 1; give fewer than 2"),
        ({"layers": 1, "task": "pretraining"}, {}, {"passages": [9]}, None),
        ({"preset": "laptop"}, {}, {}, "strategy is shorten, which takes student.layers"),
        ({"layers": 1}, {"strategy": "joint"}, {}, "student.layers is for the strategy shorten, found joint"),
        ({"layers": 1, "preset": "laptop"}, {}, {}, "layers are taken from the teacher; leave out"),
        (
            {"preset": "laptop", "task": "sentence-similarity"},
            {"strategy": "none"},
            {},
            "strategy is none, but sentence-similarity is learnt from a teacher; choose another",
        ),
    ],
)
def test_recipes_of_students_are_checked(
    student: dict[str, Any],
    transfer_table: dict[str, Any],
    data: dict[str, Any],
    says: str | None,
    tmp_path: Path,
    corpus: Path,
    teacher: Path,
) -> None:
    steps = {"strategy": "shorten", "steps": 2, "distillation_steps": 2, **transfer_table}
    tables: dict[str, Any] = {"student": student, "transfer": steps}
    recipe = shorten_recipe(tmp_path, corpus, teacher, data={"files": [corpus], "max_length": 24, **data}, **tables)
    if says is None:
        assert load_checkpoint(transfer(recipe)).config.num_hidden_layers == 1
        return
    with pytest.raises(UsageError, match=says) as caught:
        transfer(recipe)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "short").exists()
