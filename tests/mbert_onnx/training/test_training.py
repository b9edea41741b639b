"""Trainings in small, from corpus to scores: what they learn, and that they go on wherever they are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_recipes import distill_recipe, finetune_recipe, pretrain_recipe, write_corpus, write_labels
from typer.testing import CliRunner

from mbert_onnx import evaluate, finetune, pretrain, schedule, transfer, validate
from mbert_onnx.cli.app import app
from mbert_onnx.errors import DataError, TrainingError, UsageError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.training.data.custom import Columns
from mbert_onnx.training.distillation.loss import ObjectiveWeights, StageLoss
from mbert_onnx.training.distillation.strategies import STRATEGIES, stages_of
from mbert_onnx.training.inputs.corpus_rows import corpus_rows, encoder_in, masking, pad_id_of
from mbert_onnx.training.recipe import CorpusTable

PATIENCE = 120.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def corpus(place: Path) -> Path:
    return write_corpus(place / "corpus.txt")


@pytest.fixture(scope="module")
def teacher(place: Path, corpus: Path) -> Path:
    return pretrain(pretrain_recipe(place, corpus, place / "teacher"))


@pytest.fixture(scope="module")
def students(place: Path, corpus: Path, teacher: Path) -> dict[str, Path]:
    return {
        strategy: transfer(distill_recipe(place, corpus, teacher, place / strategy, strategy))
        for strategy in STRATEGIES
    }


def curve(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]


def held_out_loss(model: Path, place: Path) -> float:
    """Of the words behind masks, in sentences that nobody has seen."""
    table = CorpusTable(files=[write_corpus(place / "held_out.txt", documents=97)], max_length=24, masked=0.2)
    encoder = encoder_in(model, 24)
    rows = corpus_rows(place / "held-out-rows", table, encoder, seed=9)
    collate = masking(encoder, pad_id_of(encoder), table)
    from mbert_onnx.training.data.batch_sampler import Batches

    [draws] = Batches(rows.lengths, 64, first=0, count=1, seed=9)
    read = load_checkpoint(model).model
    [stage] = stages_of("none", layers=2, transfer_steps=0, distillation_steps=1)
    with torch.no_grad():
        losses = StageLoss(read, None, stage, ObjectiveWeights())(collate([rows[draw] for draw in draws]))  # type: ignore[arg-type]
    return float(losses["masked_words"])


def test_a_teacher_learns_its_language(teacher: Path) -> None:
    points = curve(teacher.parent)
    assert points[-1]["losses"]["masked_words"] < points[0]["losses"]["masked_words"] / 2
    assert points[-1]["step"] == 300


def test_a_run_keeps_curves_and_a_model_and_no_checkpoint(teacher: Path) -> None:
    names = {path.name for path in teacher.parent.iterdir()}
    assert names == {"losses.jsonl", "losses.png", "model", "recipe.toml", "rows", "tensorboard", "tokenizer"}
    assert {path.name for path in teacher.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert list((teacher.parent / "tensorboard").glob("events.*"))


@pytest.mark.parametrize("strategy", ["progressive", "joint", "auxiliary"])
def test_each_strategy_lowers_its_losses(strategy: str, students: dict[str, Path]) -> None:
    points = curve(students[strategy].parent)
    for stage in {point["stage"] for point in points}:
        own = [point["losses"]["loss"] for point in points if point["stage"] == stage]
        assert own[-1] < own[0], f"stage {stage}"


@pytest.mark.parametrize("strategy", ["progressive", "joint", "auxiliary"])
def test_each_strategy_beats_training_from_scratch(strategy: str, students: dict[str, Path], place: Path) -> None:
    assert held_out_loss(students[strategy], place) < 0.9 * held_out_loss(students["none"], place)


def test_a_student_has_what_was_handed_over_until_distillation(place: Path, corpus: Path, teacher: Path) -> None:
    recipe = distill_recipe(place, corpus, teacher, place / "kept", "progressive", steps=4, distillation_steps=0)
    own, theirs = load_file(transfer(recipe) / "model.safetensors"), load_file(teacher / "model.safetensors")
    words = "mobilebert.embeddings.word_embeddings.weight"
    assert torch.equal(own[words], theirs[words])
    assert torch.equal(own["cls.predictions.transform.dense.weight"], theirs["cls.predictions.transform.dense.weight"])


def test_the_schedule_tells_what_each_stage_trains(place: Path, corpus: Path, teacher: Path) -> None:
    recipe = distill_recipe(place, corpus, teacher, place / "planned", "progressive", lower_rate=0.1)
    told = schedule(recipe)
    planned = told.stages
    assert not told.notes
    assert [one.stage.name for one in planned] == ["layer 1", "layer 2", "distillation"]
    total = planned[-1].trained
    assert planned[-1].kept == planned[-1].slowly == 0
    for one in planned[:-1]:
        assert one.trained + one.slowly + one.kept == total
        assert 0 < one.trained < total
    assert not (place / "planned").exists()
    shown = CliRunner().invoke(app, ["distill", str(recipe), "--dry-run"])
    assert shown.exit_code == 0
    assert "maps of layer 2" in shown.stdout
    assert "0.1×" in shown.stdout


def test_the_schedule_tells_whose_words_it_counts(place: Path, corpus: Path, teacher: Path) -> None:
    def words(name: str, source: Path, strategy: str) -> tuple[int, str]:
        recipe = distill_recipe(place, corpus, source, place / name, strategy)
        shown = CliRunner().invoke(app, ["distill", str(recipe), "--dry-run"])
        assert shown.exit_code == 0
        return schedule(recipe).stages[-1].trained, " ".join(shown.stdout.split())

    known, told = words("known", teacher, "joint")
    assert "Embeddings and heads are the teacher's" in told
    assert "assumed" not in told
    assumed, told = words("assumed", place / "nowhere", "none")
    assert assumed > known + 30_000  # BERT's 30,522 in place of some tens
    assert "Embeddings and heads" not in told
    assert "a vocabulary of 30,522 words is assumed" in told


def test_a_run_that_is_done_or_another_recipes_is_not_touched(place: Path, corpus: Path, teacher: Path) -> None:
    recipe = pretrain_recipe(place, corpus, place / "teacher")
    before = (teacher / "model.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="is trained already; pass --overwrite"):
        pretrain(recipe)
    other = pretrain_recipe(place, corpus, place / "teacher", steps=5)
    with pytest.raises(TrainingError, match="was started with another recipe"):
        pretrain(other)
    assert (teacher / "model.safetensors").read_bytes() == before


def test_the_same_seed_gives_the_same_model(place: Path, corpus: Path) -> None:
    runs = [pretrain(pretrain_recipe(place, corpus, place / name, steps=12)) for name in ("first", "second")]
    first, second = (load_file(run / "model.safetensors") for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_gradients_may_be_gathered_from_several_batches(place: Path, corpus: Path) -> None:
    recipe = pretrain_recipe(place, corpus, place / "gathered", steps=10, batch_size=8, accumulate=4)
    pretrain(recipe)
    assert curve(place / "gathered")[-1]["step"] == 10


def test_mixed_precision_learns_too(place: Path, corpus: Path) -> None:
    pretrain(pretrain_recipe(place, corpus, place / "mixed", steps=40, mixed_precision="bf16"))
    points = curve(place / "mixed")
    assert points[-1]["losses"]["loss"] < points[0]["losses"]["loss"]


def test_a_loss_that_is_no_number_is_told(place: Path, corpus: Path) -> None:
    recipe = pretrain_recipe(place, corpus, place / "wild", steps=60, learning_rate=1e30, clip=0)
    with pytest.raises(TrainingError, match="lower learning_rate"):
        pretrain(recipe)
    assert not (place / "wild" / "model").exists()


def killed_and_resumed(recipe: Path, run: Path, command: str) -> int:
    """Kills a training once it has a checkpoint, then lets it come to its end; the step that was kept."""
    program = [sys.executable, "-m", "mbert_onnx", command, str(recipe)]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + PATIENCE
    checkpoints = run / "checkpoints"
    while not (checkpoints.is_dir() and [p for p in checkpoints.iterdir() if not p.name.startswith(".")]):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (run / "model").exists()
    [kept] = [path for path in checkpoints.iterdir() if not path.name.startswith(".")]
    # As if it had been killed while it wrote the next one, and a line of the curves.
    shutil.copytree(kept, checkpoints / ".partial-00-009999")
    (checkpoints / ".partial-00-009999" / "optimizer.bin").unlink()
    with (run / "losses.jsonl").open("a") as file:
        file.write('{"stage": 0, "st')
    done = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return int(kept.name.split("-")[1])


def test_a_training_that_is_killed_goes_on_to_the_same_loss(place: Path, corpus: Path) -> None:
    whole = pretrain(pretrain_recipe(place, corpus, place / "whole", dropout=0.1, steps=150, save_every=20))
    recipe = pretrain_recipe(place, corpus, place / "killed", dropout=0.1, steps=150, save_every=20)
    kept = killed_and_resumed(recipe, place / "killed", "pretrain")
    assert 0 < kept < 150
    assert [(p["step"], p["losses"]) for p in curve(place / "killed")] == [
        (p["step"], p["losses"]) for p in curve(place / "whole")
    ]
    first, second = load_file(whole / "model.safetensors"), load_file(place / "killed" / "model" / "model.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.full
def test_a_transfer_that_is_killed_goes_on_in_its_stage(place: Path, corpus: Path, teacher: Path) -> None:
    whole = transfer(distill_recipe(place, corpus, teacher, place / "whole-transfer", "progressive"))
    recipe = distill_recipe(place, corpus, teacher, place / "killed-transfer", "progressive")
    killed_and_resumed(recipe, place / "killed-transfer", "distill")
    first = load_file(whole / "model.safetensors")
    second = load_file(place / "killed-transfer" / "model" / "model.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.full
def test_two_processes_train_together(place: Path, corpus: Path) -> None:
    recipe = pretrain_recipe(place, corpus, place / "together", steps=40, save_every=10)
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
    # One of them speaks.
    assert done.stdout.splitlines() == [str(place / "together" / "model")]
    points = curve(place / "together")
    assert points[-1]["losses"]["loss"] < points[0]["losses"]["loss"]


@pytest.mark.full
def test_lamb_learns_too(place: Path, corpus: Path) -> None:
    pretrain(pretrain_recipe(place, corpus, place / "lamb", steps=40, optimizer="lamb"))
    points = curve(place / "lamb")
    assert points[-1]["losses"]["loss"] < points[0]["losses"]["loss"]


@pytest.fixture(scope="module")
def labels(place: Path) -> Path:
    return write_labels(place / "labels.tsv")


@pytest.fixture(scope="module")
def classifier(place: Path, labels: Path, students: dict[str, Path]) -> Path:
    return finetune(finetune_recipe(place, labels, students["progressive"], place / "classifier"))


def test_a_student_is_fine_tuned(place: Path, classifier: Path) -> None:
    [found] = validate(place / "classifier.toml")
    assert found.texts == 40
    assert found.standings[0].scores["accuracy"].value > 0.95


def test_a_teachers_opinion_is_learnt_beside_labels(
    place: Path, labels: Path, classifier: Path, students: dict[str, Path]
) -> None:
    unlabelled = place / "unlabelled.txt"
    unlabelled.write_text("ax bx\nay cy\n")
    data = {"task": "classification", "train": labels, "id": "id", "held_out_every": 5, "max_length": 24}
    recipe = finetune_recipe(
        place,
        labels,
        students["joint"],
        place / "taught",
        teacher={"checkpoint": classifier, "alpha": 0.2, "temperature": 2.0},
        data={**data, "unlabelled": [unlabelled], "variants": 1},
    )
    finetune(recipe)
    points = curve(place / "taught")
    assert points[-1]["losses"]["opinion"] < points[0]["losses"]["opinion"]
    [found] = validate(recipe)
    assert found.standings[0].scores["accuracy"].value > 0.95


def test_models_are_compared_in_one_table(place: Path, labels: Path, classifier: Path) -> None:
    columns = Columns(id="id", every=5)
    json_file = place / "scores.json"
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
def test_questions_are_learnt(task: str, place: Path, students: dict[str, Path]) -> None:
    """The answer is the word of the context that is of the question's place."""
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
    path = place / f"{task}.json"
    path.write_text(json.dumps({"data": [{"paragraphs": questions}]}))
    recipe = finetune_recipe(
        place,
        path,
        students["progressive"],
        place / f"answers-{task}",
        data={"task": task, "train": path, "validation": path, "max_length": 24},
    )
    finetune(recipe)
    points = curve(place / f"answers-{task}")
    assert points[-1]["losses"]["loss"] < points[0]["losses"]["loss"]
    [found] = validate(recipe)
    scores = found.standings[0].scores
    # Six words, of which one is right: by chance it would be a sixth.
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
def test_what_cannot_be_fine_tuned_is_told_and_leaves_no_model(
    changes: dict[str, Any], error: type[Exception], says: str, place: Path, labels: Path, teacher: Path
) -> None:
    if "train" in changes.get("data", {}):
        changes["data"]["train"] = labels
    recipe = finetune_recipe(place, labels, teacher, place / "wrong", **changes)
    with pytest.raises(error, match=says):
        finetune(recipe)
    assert not (place / "wrong" / "model").exists()
    shutil.rmtree(place / "wrong", ignore_errors=True)


def test_a_tokenizer_that_is_not_the_models_is_refused(place: Path, labels: Path, teacher: Path) -> None:
    other = place / "other-words"
    shutil.copytree(teacher, other)
    content = json.loads((other / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary.update({f"new{number}": len(vocabulary) + number for number in range(500)})
    (other / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(Exception, match=r"has \d+ words, the tokenizer \d+"):
        finetune(finetune_recipe(place, labels, other, place / "mismatched"))
