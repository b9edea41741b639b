"""Small trainings from corpus to scores: they learn, resume after a kill, and leave complete runs alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_recipes import distill_recipe, finetune_recipe, pretrain_recipe, write_corpus
from typer.testing import CliRunner

from mbert_onnx import evaluate, finetune, pretrain, schedule, transfer, validate
from mbert_onnx.cli.application import app
from mbert_onnx.errors import DataError, TrainingError, UsageError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.training.data.custom import Columns
from mbert_onnx.training.distillation.loss import ObjectiveWeights, StageLoss
from mbert_onnx.training.distillation.strategies import stages_of
from mbert_onnx.training.inputs.corpus_rows import corpus_rows, encoder_in, masking, pad_id_of
from mbert_onnx.training.recipe import CorpusTable

PATIENCE = 120.0


def curve(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]


def assert_equal_weights(first: Path, second: Path) -> None:
    weights, others = (load_file(model / "model.safetensors") for model in (first, second))
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def held_out_loss(model: Path, folder: Path) -> float:
    """Computes the loss of masked words in sentences outside the training data."""
    table = CorpusTable(files=[write_corpus(folder / "held_out.txt", documents=97)], max_length=24, masked=0.2)
    encoder = encoder_in(model, 24)
    rows = corpus_rows(folder / "held-out-rows", table, encoder, seed=9)
    collate = masking(encoder, pad_id_of(encoder), table)
    from mbert_onnx.training.data.batch_sampler import Batches

    [draws] = Batches(rows.lengths, 64, first=0, count=1, seed=9)
    read = load_checkpoint(model).model
    [stage] = stages_of("none", layers=2, transfer_steps=0, distillation_steps=1)
    with torch.no_grad():
        losses = StageLoss(read, None, stage, ObjectiveWeights())(collate([rows[draw] for draw in draws]))
    return float(losses["masked_words"])


def test_a_teacher_learns_its_language(teacher: Path) -> None:
    points = curve(teacher.parent)
    assert points[-1]["losses"]["masked_words"] < points[0]["losses"]["masked_words"] / 2
    assert points[-1]["step"] == 140


def test_a_complete_run_keeps_curves_and_model_but_no_checkpoint(teacher: Path) -> None:
    names = {path.name for path in teacher.parent.iterdir()}
    assert names == {"losses.jsonl", "losses.png", "model", "recipe.toml", "rows", "tensorboard", "tokenizer"}
    assert {path.name for path in teacher.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert list((teacher.parent / "tensorboard").glob("events.*"))


def test_the_embedding_of_padding_stays_zero(teacher: Path, student: Callable[[str], Path], classifier: Path) -> None:
    # The decoder of masked words is tied to the embeddings, so this row has a gradient.
    for model in (teacher, student("progressive"), classifier):
        words = load_file(model / "model.safetensors")["mobilebert.embeddings.word_embeddings.weight"]
        assert [bool(row.any()) for row in words[:3]] == [False, True, True]


@pytest.mark.parametrize("strategy", ["progressive", "joint", "auxiliary"])
def test_each_strategy_lowers_its_losses(strategy: str, student: Callable[[str], Path]) -> None:
    points = curve(student(strategy).parent)
    for stage in {point["stage"] for point in points}:
        own = [point["losses"]["loss"] for point in points if point["stage"] == stage]
        assert own[-1] < own[0], f"stage {stage}"


@pytest.mark.parametrize("strategy", ["progressive", "joint", "auxiliary"])
def test_each_strategy_beats_training_from_scratch(
    strategy: str, student: Callable[[str], Path], tmp_path: Path
) -> None:
    assert held_out_loss(student(strategy), tmp_path) < 0.9 * held_out_loss(student("none"), tmp_path)


def test_copied_weights_stay_until_distillation(tmp_path: Path, corpus: Path, teacher: Path) -> None:
    recipe = distill_recipe(tmp_path, corpus, teacher, tmp_path / "kept", "progressive", steps=4, distillation_steps=0)
    own, theirs = load_file(transfer(recipe) / "model.safetensors"), load_file(teacher / "model.safetensors")
    words = "mobilebert.embeddings.word_embeddings.weight"
    assert torch.equal(own[words], theirs[words])
    assert torch.equal(own["cls.predictions.transform.dense.weight"], theirs["cls.predictions.transform.dense.weight"])


def test_the_schedule_counts_the_parameters_of_each_stage(tmp_path: Path, corpus: Path, teacher: Path) -> None:
    recipe = distill_recipe(tmp_path, corpus, teacher, tmp_path / "planned", "progressive", lower_rate=0.1)
    found = schedule(recipe)
    planned = found.stages
    assert not found.notes
    assert [one.stage.name for one in planned] == ["layer 1", "layer 2", "distillation"]
    total = planned[-1].trained
    assert planned[-1].kept == planned[-1].slowly == 0
    for one in planned[:-1]:
        assert one.trained + one.slowly + one.kept == total
        assert 0 < one.trained < total
    assert not (tmp_path / "planned").exists()
    shown = CliRunner().invoke(app, ["distill", str(recipe), "--dry-run"])
    assert shown.exit_code == 0
    assert "maps of layer 2" in shown.stdout
    assert "0.1×" in shown.stdout


def test_the_schedule_names_the_source_of_the_vocabulary(tmp_path: Path, corpus: Path, teacher: Path) -> None:
    def counted(name: str, source: Path, strategy: str) -> tuple[int, str]:
        recipe = distill_recipe(tmp_path, corpus, source, tmp_path / name, strategy)
        shown = CliRunner().invoke(app, ["distill", str(recipe), "--dry-run"])
        assert shown.exit_code == 0
        return schedule(recipe).stages[-1].trained, " ".join(shown.stdout.split())

    known, printed = counted("known", teacher, "joint")
    assert "Embeddings and heads are copied from the teacher" in printed
    assert "assumed" not in printed
    assumed, printed = counted("assumed", tmp_path / "nowhere", "none")
    assert assumed > known + 30_000  # BERT's 30,522 in place of some tens
    assert "Embeddings and heads" not in printed
    assert "a vocabulary of 30,522 words is assumed" in printed


def test_complete_runs_and_runs_of_other_recipes_are_not_changed(tmp_path: Path, corpus: Path, teacher: Path) -> None:
    recipe = pretrain_recipe(tmp_path, corpus, teacher.parent)
    before = (teacher / "model.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="is trained already; pass --overwrite"):
        pretrain(recipe)
    other = pretrain_recipe(tmp_path, corpus, teacher.parent, steps=5)
    with pytest.raises(TrainingError, match="was started with another recipe"):
        pretrain(other)
    assert (teacher / "model.safetensors").read_bytes() == before


def test_the_same_seed_gives_the_same_model(tmp_path: Path, corpus: Path) -> None:
    runs = [pretrain(pretrain_recipe(tmp_path, corpus, tmp_path / name, steps=12)) for name in ("first", "second")]
    assert_equal_weights(*runs)


def test_gradients_are_accumulated_over_batches(tmp_path: Path, corpus: Path) -> None:
    recipe = pretrain_recipe(tmp_path, corpus, tmp_path / "gathered", steps=4, batch_size=8, accumulate=4)
    pretrain(recipe)
    assert curve(tmp_path / "gathered")[-1]["step"] == 4


def test_mixed_precision_lowers_the_loss(tmp_path: Path, corpus: Path) -> None:
    pretrain(pretrain_recipe(tmp_path, corpus, tmp_path / "mixed", steps=20, mixed_precision="bf16"))
    points = curve(tmp_path / "mixed")
    assert points[-1]["losses"]["loss"] < points[0]["losses"]["loss"]


def test_an_infinite_loss_is_an_error(tmp_path: Path, corpus: Path) -> None:
    recipe = pretrain_recipe(tmp_path, corpus, tmp_path / "wild", steps=60, learning_rate=1e30, clip=0)
    with pytest.raises(TrainingError, match="lower learning_rate"):
        pretrain(recipe)
    assert not (tmp_path / "wild" / "model").exists()


def test_a_killed_training_resumes_to_the_same_loss(
    tmp_path: Path, corpus: Path, kill_and_resume: Callable[..., str]
) -> None:
    options: dict[str, Any] = {"dropout": 0.1, "steps": 40, "save_every": 10, "log_every": 5}
    whole = pretrain(pretrain_recipe(tmp_path, corpus, tmp_path / "whole", **options))
    recipe = pretrain_recipe(tmp_path, corpus, tmp_path / "killed", **options)
    assert kill_and_resume("pretrain", recipe, tmp_path / "killed", "pre-training", 30) == "00-000020"
    assert [(p["step"], p["losses"]) for p in curve(tmp_path / "killed")] == [
        (p["step"], p["losses"]) for p in curve(tmp_path / "whole")
    ]
    assert_equal_weights(whole, tmp_path / "killed" / "model")


@pytest.mark.full
def test_a_killed_transfer_resumes_in_its_stage(
    tmp_path: Path, corpus: Path, teacher: Path, kill_and_resume: Callable[..., str]
) -> None:
    def recipe(name: str) -> Path:
        return distill_recipe(tmp_path, corpus, teacher, tmp_path / name, "progressive", save_every=10, steps=60)

    whole = transfer(recipe("whole"))
    assert kill_and_resume("distill", recipe("killed"), tmp_path / "killed", "layer 2", 20) == "01-000010"
    assert_equal_weights(whole, tmp_path / "killed" / "model")


@pytest.mark.full
def test_two_processes_train_together(tmp_path: Path, corpus: Path) -> None:
    recipe = pretrain_recipe(tmp_path, corpus, tmp_path / "together", steps=40, save_every=10)
    program = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "mbert_onnx"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*program, "pretrain", str(recipe)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Only the main process prints.
    assert done.stdout.splitlines() == [str(tmp_path / "together" / "model")]
    points = curve(tmp_path / "together")
    assert points[-1]["losses"]["loss"] < points[0]["losses"]["loss"]


@pytest.mark.full
def test_lamb_lowers_the_loss(tmp_path: Path, corpus: Path) -> None:
    pretrain(pretrain_recipe(tmp_path, corpus, tmp_path / "lamb", steps=40, optimizer="lamb"))
    points = curve(tmp_path / "lamb")
    assert points[-1]["losses"]["loss"] < points[0]["losses"]["loss"]


def test_a_student_is_fine_tuned(trainings: Path, classifier: Path) -> None:
    assert classifier == trainings / "classifier" / "model"
    [found] = validate(trainings / "classifier.toml")
    assert found.texts == 40
    assert found.standings[0].scores["accuracy"].value > 0.95


def test_teacher_logits_are_learnt_beside_labels(
    tmp_path: Path, labels: Path, classifier: Path, student: Callable[[str], Path]
) -> None:
    unlabelled = tmp_path / "unlabelled.txt"
    unlabelled.write_text("ax bx\nay cy\n")
    data = {"task": "classification", "train": labels, "id": "id", "held_out_every": 5, "max_length": 24}
    recipe = finetune_recipe(
        tmp_path,
        labels,
        student("joint"),
        tmp_path / "taught",
        teacher={"checkpoint": classifier, "alpha": 0.2, "temperature": 2.0},
        data={**data, "unlabelled": [unlabelled], "variants": 1},
    )
    finetune(recipe)
    points = curve(tmp_path / "taught")
    assert points[-1]["losses"]["opinion"] < points[0]["losses"]["opinion"]
    [found] = validate(recipe)
    assert found.standings[0].scores["accuracy"].value > 0.95


def test_models_are_compared_in_one_table(tmp_path: Path, labels: Path, classifier: Path) -> None:
    columns = Columns(id="id", every=5)
    json_file = tmp_path / "scores.json"
    [found] = evaluate(
        [classifier, f"portable:{classifier}"], task="classification", data=labels, columns=columns, json=json_file
    )
    torch_model, exported = found.standings
    assert exported.agreement == 1.0
    assert exported.scores == torch_model.scores
    assert exported.differences["accuracy"].value == 0
    assert json.loads(json_file.read_text())[0]["standings"][1]["agreement"] == 1.0
    command = ["evaluate", str(classifier), "--task", "classification", "--data", str(labels), "--id", "id"]
    shown = CliRunner().invoke(app, [*command, "--held-out-every", "5"])
    assert shown.exit_code == 0, shown.output
    assert "accuracy" in shown.stdout


@pytest.mark.parametrize("task", ["squad", "squad_v2"])
def test_questions_are_learnt(task: str, tmp_path: Path, student: Callable[[str], Path]) -> None:
    """The answer is the word of the context that begins with the first letter of the question."""
    questions = []
    for number in range(120):
        kind, place_asked = "xyzuvwst"[number % 8], "abcdef"[number % 6]
        words = [f"{letter}{kind}" for letter in "abcdef"]
        answer = f"{place_asked}{kind}"
        impossible = task == "squad_v2" and number % 4 == 0
        context = " ".join(word for word in words if not (impossible and word == answer))
        right = [] if impossible else [{"text": answer, "answer_start": context.index(answer)}]
        asked = f"{place_asked}{'xyzuvwst'[(number + 1) % 8]}"
        qa = {"id": str(number), "question": asked, "answers": right, "is_impossible": impossible}
        questions.append({"context": context, "qas": [qa]})
    path = tmp_path / f"{task}.json"
    path.write_text(json.dumps({"data": [{"paragraphs": questions}]}))
    recipe = finetune_recipe(
        tmp_path,
        path,
        student("progressive"),
        tmp_path / f"answers-{task}",
        data={"task": task, "train": path, "validation": path, "max_length": 24},
    )
    finetune(recipe)
    points = curve(tmp_path / f"answers-{task}")
    assert points[-1]["losses"]["loss"] < points[0]["losses"]["loss"]
    [found] = validate(recipe)
    scores = found.standings[0].scores
    # One of six words is correct: chance is a sixth.
    assert scores["exact_match"].value > 0.4
    assert scores["f1"].value >= scores["exact_match"].value


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"data": {"task": "snli"}}, UsageError, "data.task is 'snli'; expected one of cola"),
        ({"data": {"task": "rte"}}, UsageError, "data.folder is missing, which rte needs"),
        ({"model": {"checkpoint": "nowhere/at all"}}, Exception, "nowhere/at all: no such folder"),
        (
            {"data": {"task": "classification", "train": "labels.tsv", "label": "none"}},
            DataError,
            "expected none among",
        ),
    ],
)
def test_invalid_fine_tunings_are_refused_and_leave_no_model(
    changes: dict[str, Any], error: type[Exception], says: str, tmp_path: Path, labels: Path, teacher: Path
) -> None:
    if "train" in changes.get("data", {}):
        changes["data"]["train"] = labels
    recipe = finetune_recipe(tmp_path, labels, teacher, tmp_path / "wrong", **changes)
    with pytest.raises(error, match=says):
        finetune(recipe)
    assert not (tmp_path / "wrong" / "model").exists()
    shutil.rmtree(tmp_path / "wrong", ignore_errors=True)


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path: Path, labels: Path, teacher: Path) -> None:
    other = tmp_path / "other-words"
    shutil.copytree(teacher, other)
    content = json.loads((other / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary.update({f"new{number}": len(vocabulary) + number for number in range(500)})
    (other / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(Exception, match=r"has \d+ words, the tokenizer \d+"):
        finetune(finetune_recipe(tmp_path, labels, other, tmp_path / "mismatched"))
