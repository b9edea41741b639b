"""Recipes, choices and model cards of the built-in models, on stand-ins for the results of trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from examples.reference import card
from examples.reference.choice import best_rate
from examples.reference.recipe import DEFAULTS, recipe
from mbert_onnx.training.recipe import DistillRecipe, FinetuneRecipe, PretrainRecipe, read_recipe

KINDS = {
    "opinion-1e-4": FinetuneRecipe,
    "embed-1": DistillRecipe,
    "embed-2": DistillRecipe,
    "squad-1": DistillRecipe,
    "none": PretrainRecipe,
    "tuning-transfer-1e-3": FinetuneRecipe,
    "tuning-none-6e-4": FinetuneRecipe,
    "sentiment-transfer-1": FinetuneRecipe,
    "sentiment-none-2": FinetuneRecipe,
}


def score(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def evaluation(path: Path, metrics: dict[str, dict[str, float]], right: dict[str, list[int]] | None = None) -> None:
    """Writes what `evaluate --json` does: scores by model and metric; the first model has no differences."""
    rows = [
        {
            "model": model,
            "scores": {name: score(value) for name, value in scores.items()},
            "differences": {name: score(-0.02) for name in scores} if number else {},
            "agreement": 0.99 if number else None,
            "cosine": 0.999 if number else None,
            "by_text": {"accuracy": (right or {}).get(model, [])},
        }
        for number, (model, scores) in enumerate(metrics.items())
    ]
    path.write_text(json.dumps([{"standings": rows}]))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()

    def accuracies(**values: float) -> dict[str, dict[str, float]]:
        return {f"{folder}/{name.replace('_', '-')}/model": {"accuracy": value} for name, value in values.items()}

    evaluation(folder / "opinion.json", accuracies(**{"opinion_1e-4": 0.85, "opinion_2e-4": 0.86}))
    tuned = {
        "tuning_transfer_1e-3": 0.83,
        "tuning_transfer_2e-3": 0.82,
        "tuning_none_6e-4": 0.7,
        "tuning_none_1e-3": 0.7,
    }
    evaluation(folder / "tuning.json", accuracies(**tuned))
    names = [f"sentiment_{arm}_{seed}" for arm in ("transfer", "none") for seed in (1, 2)]
    right = {f"{folder}/{name.replace('_', '-')}/model": [1, 1, int("transfer" in name), 0] for name in names}
    evaluation(folder / "test.json", accuracies(**dict.fromkeys(names, 0.75), **{"opinion_2e-4": 0.86}), right)
    recalls = {"recall@1": 0.6, "recall@5": 0.7, "recall@10": 0.9, "mrr": 0.65}
    parts = ("corpus/minilm", "squad-1/model", "embed-1/model", "embed-2/model")
    evaluation(folder / "growth.json", {f"build/{name}": recalls for name in parts})
    evaluation(
        folder / "retrieval.json", {f"build/{name}": recalls for name in ("embed-2/model", "none/model", "c/minilm")}
    )
    evaluation(folder / "precisions.json", {f"{kind}:reference": {"accuracy": 0.84} for kind in card.PRECISIONS})
    evaluation(folder / "embed-precisions.json", {f"{kind}:reference:embed": recalls for kind in card.PRECISIONS})
    (folder / "baseline.json").write_text(json.dumps({"chosen": score(0.81), "defaults": score(0.78)}))
    return folder


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_recipe_is_valid(name: str, kind: Any, results: Path, tmp_path: Path) -> None:
    values = {**DEFAULTS, "folder": str(results), "corpus": str(tmp_path / "corpus")}
    path = tmp_path / "recipe.toml"
    path.write_text(recipe(name, values))
    read = read_recipe(path, kind)
    assert read.output == results / name
    if name == "sentiment-transfer-1":
        assert (read.training.learning_rate, read.seed) == (1e-3, 1)
        assert read.teacher.checkpoint == f"{results}/opinion-2e-4/model"


def test_a_recipe_without_a_name_or_a_choice_is_an_error(results: Path) -> None:
    values = {**DEFAULTS, "folder": str(results), "corpus": "corpus"}
    with pytest.raises(ValueError, match=r"embed-0 is given; expected a name such as opinion-1e-4"):
        recipe("embed-0", values)
    (results / "tuning.json").unlink()
    with pytest.raises(OSError, match=r"tuning\.json"):
        recipe("sentiment-none-1", values)
    with pytest.raises(ValueError, match="has no model named other-RATE"):
        best_rate(results / "opinion.json", "other")


def test_of_equal_rates_the_first_is_chosen(results: Path) -> None:
    assert best_rate(results / "tuning.json", "tuning-none") == "6e-4"


def test_cards_have_the_figures_of_the_results(results: Path, tmp_path: Path) -> None:
    corpus, folder = tmp_path / "corpus", tmp_path / "packed"
    entry = {"content": "paragraphs", "words": 12_345, "documents": 67, "origin": "PyPI: a 1", "licence": "MIT"}
    corpus.mkdir()
    (corpus / "corpus.json").write_text(json.dumps([{**entry, "sampled": True}]))
    for place in (folder, folder / "embed"):
        place.mkdir()
        save_file({"a": np.zeros((1000, 1000), np.float16)}, place / "model.safetensors")
        (place / "config.json").write_text('{"vocab_size": 15500}')
    card.main(results, corpus, folder)
    sentiment, embed = (folder / "README.md").read_text(), (folder / "embed" / "README.md").read_text()
    for text in (sentiment, embed):
        assert "1.0 M parameters and 15,500 words" in text
        assert "| paragraphs, a sample | 12,345 | 67 | PyPI: a 1 | MIT |" in text
    assert "| transfer from the teacher | **1e-3: 83.00**, 2e-3: 82.00 |" in sentiment
    assert "| transfer from the teacher | 75.00 | 75.00, 75.00 |" in sentiment
    assert "Transfer changes the accuracy by +25.00 (" in sentiment
    assert "| int8, native kernels | 84.00 (83.00 to 85.00) | −2.00 (−3.00 to −1.00) | 99.00 % |" in sentiment
    assert "| part 2 | 60.00 (59.00 to 61.00) |" in embed
    assert "- recall@10: +2.00 (+1.00 to +3.00) to the student without transfer; 100.0 % of the teacher's" in embed
    assert "| int8, native kernels | 90.00 (89.00 to 91.00) | −2.00 (−3.00 to −1.00) | 0.99900 |" in embed
    (results / "retrieval.json").unlink()
    (folder / "README.md").write_text("as it was")
    with pytest.raises(SystemExit, match=r"card: .*retrieval\.json"):
        card.main(results, corpus, folder)
    assert (folder / "README.md").read_text() == "as it was"
