"""The experiments: recipes of all trainings, choice of learning rates, and tables on planted results."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import perf_reports
import pytest
from small_checkpoints import save_small
from text_encoders import word_encoder

from examples.experiments import fill_recipe
from examples.experiments.depth import recipe as depth
from examples.experiments.depth import table as depth_table
from examples.experiments.marked_page import write_between_marks
from examples.experiments.paper_in_small import recipe as paper
from examples.experiments.paper_in_small import table as paper_table
from examples.experiments.paper_in_small.arms import ARMS, CLAIMS
from examples.experiments.paper_in_small.masked_words import main as measure_masked_words
from examples.experiments.paper_in_small.masked_words import masked_rows
from examples.experiments.paper_in_small.results import best_rates, chosen_models
from mbert_onnx.training.recipe import DistillRecipe, FinetuneRecipe, read_recipe

ROOT = Path(__file__).parents[2]
R = TypeVar("R", DistillRecipe, FinetuneRecipe)
PLACES = {"folder": "build/there", "corpus": "corpus"}


def test_every_training_of_the_paper_in_small_has_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"

    def read(name: str, kind: type[R]) -> R:
        path.write_text(paper.recipe(name, {**paper.SIZES, **PLACES}), encoding="utf-8")
        found = read_recipe(path, kind)
        assert str(found.output) == f"build/there/{name}"
        return found

    read("teacher", DistillRecipe)
    read("sentiment-feature-maps-1-1e-3", FinetuneRecipe)
    for name, arm in ARMS.items():
        student = read(f"student-{name}-2", DistillRecipe)
        found = student.transfer.strategy, student.transfer.feature_maps, student.transfer.attention, student.seed
        assert found == (arm.strategy, arm.feature_maps, arm.attention, 2)
    for name in ("pupil", "student-none", "sentiment-none-1", "student-other-1"):
        with pytest.raises(ValueError, match="expected teacher, student-ARM-SEED or sentiment-ARM-SEED-RATE"):
            paper.recipe(name, {**paper.SIZES, **PLACES})
    arms = re.search(r"^ARMS \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert arms is not None
    assert arms[1].split() == list(ARMS)
    assert {arm for claim in CLAIMS for arm in (claim.better, claim.worse)} == set(ARMS)


def test_every_training_of_the_depth_curve_has_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    for name, layers in {"shorten-sentiment-4": 4, "embed-0+2+4": [0, 2, 4]}.items():
        path.write_text(depth.recipe(name, {**depth.DEFAULTS, **PLACES}), encoding="utf-8")
        read = read_recipe(path, DistillRecipe)
        assert (read.student.layers, str(read.output)) == (layers, f"build/there/{name}")
    path.write_text(depth.recipe("sentiment-0+2", {**depth.DEFAULTS, **PLACES}), encoding="utf-8")
    assert read_recipe(path, FinetuneRecipe).model.checkpoint == "build/there/shorten-sentiment-0+2/model"
    with pytest.raises(ValueError, match="all is given; expected shorten-sentiment-LAYERS"):
        depth.recipe("all", {**depth.DEFAULTS, **PLACES})


def test_values_of_a_recipe_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["recipe", "teacher", str(tmp_path), "corpus"]
    monkeypatch.setattr("sys.argv", [*arguments, "teacher_steps=7"])
    fill_recipe.main("paper", paper.recipe, paper.SIZES)
    assert read_recipe(tmp_path / "teacher.toml", DistillRecipe).transfer.steps == 7
    monkeypatch.setattr("sys.argv", [*arguments, "stpes=7"])
    with pytest.raises(SystemExit, match="paper: stpes is given; expected NAME=VALUE with a name among epochs, steps"):
        fill_recipe.main("paper", paper.recipe, paper.SIZES)


def evaluation(models: dict[str, np.ndarray]) -> str:
    standings = [{"model": name, "by_text": {"accuracy": right.tolist()}} for name, right in models.items()]
    return json.dumps([{"standings": standings}])


def planted(folder: Path) -> None:
    """Results in which transfer is better than none, attention alone better than feature maps, and the rest equal."""
    random = np.random.default_rng(0)
    level = {"none": 0.3, "feature-maps": 0.6, "attention": 0.8}
    validation, test, words = {}, {}, {f"{folder}/teacher/model": [0.9] * 500}
    for arm in ARMS:
        for seed in (1, 2, 3):
            right = (random.random(500) < level.get(arm, 0.8)).astype(float)
            words[f"{folder}/student-{arm}-{seed}/model"] = right.tolist()
            for rate, worse in (("5e-4", 0), ("1e-3", 100 if arm == "joint" else -100)):
                name = f"{folder}/sentiment-{arm}-{seed}-{rate}/model"
                validation[name] = np.roll(np.arange(500) < 300 - worse, seed).astype(float)
                test[name] = right
    (folder / "validation.json").write_text(evaluation(validation))
    chosen = chosen_models(folder / "validation.json")
    (folder / "test.json").write_text(evaluation({name: test[name] for name in chosen}))
    (folder / "masked_words.json").write_text(json.dumps(words))


def test_tables_of_the_paper_in_small_say_what_was_planted(tmp_path: Path) -> None:
    planted(tmp_path)
    rates = best_rates(tmp_path / "validation.json")
    assert rates == {arm: "5e-4" if arm == "joint" else "1e-3" for arm in ARMS}
    text = paper_table.tables(tmp_path)
    assert "masked words in 500 held-out sentences, and accuracy on 500 held-out reviews" in text
    assert "| the teacher | 90.00 | | |" in text
    said = {claim: re.findall(r"as in the paper|the opposite|not decided", line) for claim, line in _lines(text)}
    assert said["transfer is better than none"] == ["as in the paper"] * 2
    assert said["both objectives are better than feature maps alone"] == ["as in the paper"] * 2
    assert said["feature maps give more than attention"] == ["the opposite"] * 2
    assert said["progressive is better than joint"] == ["not decided"] * 2


def _lines(text: str) -> list[tuple[str, str]]:
    rows = [line.strip("| ").split(" | ", 1) for line in text.splitlines() if line.startswith("|")]
    return [(row[0], row[1]) for row in rows if len(row) == 2]


def test_masked_words_are_the_same_for_all_models(tmp_path: Path) -> None:
    model = tmp_path / "student-none-1" / "model"
    model.mkdir(parents=True)
    text = " ".join(f"word{number}" for number in range(40))
    save_small(model, "MobileBertForPreTraining", vocab_size=400)
    encoder = word_encoder(model, text)
    [(ids, labels)] = masked_rows(encoder, [f"{text} other", "word1 word2"])  # the second is too short
    chosen = labels >= 0
    assert int(chosen.sum()) == round(0.15 * 40)
    assert set(ids[chosen].tolist()) == {encoder.tokenizer.token_to_id("[MASK]")}
    assert not {0, 1, 2, 3} & set(labels[chosen].tolist())  # padding, unknown words and special tokens
    questions, output = tmp_path / "squad.jsonl", tmp_path / "masked_words.json"
    questions.write_text(json.dumps({"context": f"{text}. {text}.".replace("word0", "Word0 word0")}) + "\n")
    measure_masked_words(output, questions, [str(model), str(model)])
    [shares] = json.loads(output.read_text()).values()
    assert len(shares) == 2
    assert all(0 <= share <= 1 for share in shares)


def test_tables_of_the_depth_curve_have_layers_times_and_differences(tmp_path: Path) -> None:
    base = perf_reports.report("int8/sentiment-0+2")
    subjects = tuple(replace(subject, layers=layers) for subject, layers in zip(base.subjects, (6, 2), strict=True))
    score, difference = {"value": 0.8, "low": 0.78, "high": 0.82}, {"value": -0.01, "low": -0.02, "high": 0.0}
    for task, metrics in {"sentiment": ["accuracy"], "embed": ["recall@1", "recall@10"]}.items():
        replace(base, subjects=subjects).write_json(tmp_path / f"{task}-speed.json")
        scores = dict.fromkeys(metrics, score)
        standings = [
            {"model": "base.onnx", "scores": scores, "differences": {}},
            {"model": "int8/sentiment-0+2", "scores": scores, "differences": dict.fromkeys(metrics, difference)},
        ]
        one = {"schema": "mbert-onnx/evaluation", "schema_version": 1, "task": task, "data": "d", "split": "s"}
        (tmp_path / f"{task}-quality.json").write_text(json.dumps([{**one, "texts": 9, "standings": standings}]))
    text = depth_table.tables(tmp_path)
    assert "| 6 | 25.1 | 61.71 ± 0.62 | 8.40 ± 0.08 | 80.00 (78.00 to 82.00) | – |" in text
    assert "| 2 (number 0, 2 from 0) | 25.1 |" in text
    assert "| -1.00 (-2.00 to +0.00) |" in text
    assert text.count("\n| layers | MB |") == 2


def test_tables_replace_what_is_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- depth-curve: begin -->\nold\n<!-- depth-curve: end -->\nafter\n")
    write_between_marks(page, "depth-curve", "| new |\n")
    assert page.read_text() == "before\n<!-- depth-curve: begin -->\n| new |\n<!-- depth-curve: end -->\nafter\n"
    with pytest.raises(ValueError, match="does not have the two paper-in-small comments"):
        write_between_marks(page, "paper-in-small", "")
    for name in ("depth-curve", "paper-in-small"):
        marked = [path.name for path in (ROOT / "docs").glob("*.md") if f"<!-- {name}: begin -->" in path.read_text()]
        assert len(marked) == 1
