"""Invalid recipes and data: each gives a one-line error and an exit code, and no existing run is changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from training_recipes import (
    STUDENT,
    TEACHER,
    finetune_recipe,
    training,
    write_corpus,
    write_labels,
    write_recipe,
)
from typer.testing import CliRunner

from mbert_onnx import finetune, pretrain
from mbert_onnx.cli.application import app

LONG = "x" * 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refusals")


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Path:
    return write_corpus(folder / "corpus.txt", documents=30)


@pytest.fixture(scope="module")
def labels(folder: Path) -> Path:
    return write_labels(folder / "labels.tsv", rows=40)


@pytest.fixture(scope="module")
def checkpoint(folder: Path, corpus: Path) -> Path:
    return pretrain(pretraining(folder / "base", corpus))


def pretraining(output: Path, corpus: Path, **tables: Any) -> Path:
    return write_recipe(
        output.with_suffix(".toml"),
        **{
            "output": output,
            "model": {"preset": "ib-bert-laptop", "config": TEACHER},
            "tokenizer": {"vocab_size": 120},
            "data": {"files": [corpus], "max_length": 24},
            "training": training(steps=1),
            **tables,
        },
    )


def distilling(output: Path, corpus: Path, checkpoint: Path, **tables: Any) -> Path:
    return write_recipe(
        output.with_suffix(".toml"),
        **{
            "output": output,
            "teacher": {"checkpoint": checkpoint},
            "student": {"preset": "laptop", "config": STUDENT},
            "data": {"files": [corpus], "max_length": 24},
            "transfer": {"steps": 2, "distillation_steps": 1},
            "training": training(),
            **tables,
        },
    )


def finetuning(output: Path, labels: Path, checkpoint: Path, **tables: Any) -> Path:
    return finetune_recipe(output.parent, labels, checkpoint, output, **{"training": training(steps=1), **tables})


def run_command(command: str, recipe: Path, *options: str) -> tuple[int, str]:
    """Runs a command; returns its exit code and the last line of standard error."""
    done = CliRunner().invoke(app, [command, str(recipe), *options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, ["", *done.stderr.splitlines()][-1]


def refuses(expected: str, command: str, recipe: Path, *options: str) -> None:
    code, line = run_command(command, recipe, *options)
    assert code in (1, 2)
    assert line.startswith("mbert-onnx: ")
    assert expected in line


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("hidden_dropout_prob", 5.0, "dropout probability has to be between 0 and 1"),
        ("hidden_dropout_prob", "x", "model: "),  # refused by the config in transformers 5, by the model in 4
        ("initializer_range", -1.0, "no model can be built from this config"),
        ("pad_token_id", 500, "pad_token_id is 500, but there are 81 word embeddings, from 0"),
        ("id2label", 3, "model: config cannot be read"),
        ("dtype", "foo", "model: config cannot be read"),
        ("hidden_size", 10**11, "allocate memory"),
        ("vocab_size", 5, "ib-bert-laptop has 5 words, the tokenizer"),
        ("type_vocab_size", 1, "rows have two parts, but the model has type_vocab_size 1"),
        ("max_position_embeddings", 16, "data.max_length is 24, but the model has 16 positions"),
    ],
)
def test_unusable_configs_are_refused(key: str, value: Any, line: str, tmp_path: Path, corpus: Path) -> None:
    model = {"preset": "ib-bert-laptop", "config": {**TEACHER, key: value}}
    refuses(line, "pretrain", pretraining(tmp_path / "run", corpus, model=model))


def test_students_that_do_not_fit_the_rows_are_refused(tmp_path: Path, corpus: Path, checkpoint: Path) -> None:
    short = {"preset": "laptop", "config": {**STUDENT, "max_position_embeddings": 16}}
    refuses("the student has 16 positions", "distill", distilling(tmp_path / "run", corpus, checkpoint, student=short))
    broken = {"preset": "laptop", "config": {**STUDENT, "hidden_dropout_prob": 7.0}}
    recipe = distilling(tmp_path / "broken", corpus, checkpoint, student=broken)
    refuses("student: no model can be built", "distill", recipe, "--dry-run")


def test_invalid_file_names_are_refused(tmp_path: Path, corpus: Path, labels: Path, checkpoint: Path) -> None:
    recipe = pretraining(tmp_path / "run", corpus)
    recipe.write_text(recipe.read_text().replace(str(tmp_path / "run"), LONG))
    refuses("File name too long", "pretrain", recipe)
    recipe = finetuning(tmp_path / "run", labels, checkpoint, model={"checkpoint": LONG})
    refuses("File name too long", "finetune", recipe)
    recipe = finetuning(
        tmp_path / "run", labels, checkpoint, teacher={"checkpoint": "reference", "opinions": str(labels)}
    )
    refuses("File exists", "finetune", recipe)


@pytest.mark.parametrize("command", ["pretrain", "distill", "finetune"])
def test_inputs_inside_the_output_are_refused(
    command: str, tmp_path: Path, corpus: Path, labels: Path, checkpoint: Path
) -> None:
    inside = tmp_path / "run" / "model"
    recipe = {
        "pretrain": lambda: pretraining(tmp_path / "run", corpus, data={"files": [inside / "corpus.txt"]}),
        "distill": lambda: distilling(tmp_path / "run", corpus, inside),
        "finetune": lambda: finetuning(tmp_path / "run", labels, inside),
    }[command]()
    refuses("inside of output", command, recipe, "--overwrite")


def test_a_failing_overwrite_keeps_the_existing_run(tmp_path: Path, labels: Path, checkpoint: Path) -> None:
    recipe = finetuning(tmp_path / "run", labels, checkpoint)
    assert run_command("finetune", recipe)[0] == 0
    weights = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    finetuning(tmp_path / "run", tmp_path / "nowhere.tsv", checkpoint)
    refuses("nowhere.tsv does not exist", "finetune", recipe, "--overwrite")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == weights
    refuses("was started with another recipe", "finetune", recipe, "--leaderboard", str(tmp_path / "submission"))
    assert not (tmp_path / "submission").exists()
    refuses("nowhere.tsv does not exist", "finetune", finetuning(tmp_path / "n", tmp_path / "nowhere.tsv", checkpoint))
    assert not (tmp_path / "n").exists()


def test_a_damaged_checkpoint_and_changed_labels_are_refused(tmp_path: Path, labels: Path, checkpoint: Path) -> None:
    own = tmp_path / "labels.tsv"
    own.write_text(labels.read_text())
    recipe = finetuning(tmp_path / "run", own, checkpoint, training=training(steps=60, save_every=1))

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(recipe, tell=interrupt)
    own.write_text(labels.read_text().replace("low", "zero"))
    refuses("the data's labels are high, zero now, and were high, low", "finetune", recipe)
    own.write_text(labels.read_text())
    [saved] = (tmp_path / "run" / "checkpoints").iterdir()
    os.truncate(saved / "pytorch_model.bin", 1000)
    refuses(f"{saved} cannot be read", "finetune", recipe)
    assert saved.is_dir()


def test_a_text_without_tokens_is_refused_with_its_row(tmp_path: Path, labels: Path, checkpoint: Path) -> None:
    own = tmp_path / "own.tsv"
    own.write_text(labels.read_text() + "501\t\u200b\tlow\n")
    refuses("row 501 of the training set: ", "finetune", finetuning(tmp_path / "run", own, checkpoint))


@pytest.mark.parametrize("names", [["low"], [], ["low", "high", "high"]])
def test_fewer_than_two_labels_are_refused(names: list[str], tmp_path: Path, labels: Path, checkpoint: Path) -> None:
    data = {"task": "classification", "train": labels, "labels": names, "max_length": 24}
    code, line = run_command("finetune", finetuning(tmp_path / "run", labels, checkpoint, data=data))
    assert code == 2
    assert "labels" in line


def test_a_corpus_with_only_held_out_rows_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_text(json.dumps({"id": 4, "text": "some words"}) + "\n")
    data = {"files": [file], "id": "id", "held_out_every": 2, "max_length": 24}
    refuses(
        "has no text except in rows held out, whose id is a multiple of 2",
        "pretrain",
        pretraining(tmp_path / "run", file, data=data),
    )


def test_the_built_in_model_as_teacher_and_word_embeddings(tmp_path: Path, labels: Path, checkpoint: Path) -> None:
    own = tmp_path / "own.tsv"
    own.write_text("text\tlabel\na good film\tpositive\na bad film\tnegative\n")
    recipe = write_recipe(
        tmp_path / "run.toml",
        output=tmp_path / "run",
        model={
            "preset": "laptop",
            "config": {**STUDENT, "embedding_size": 16, "hidden_size": 32},
            "word_embeddings": "reference",
        },
        tokenizer={"folder": "mbert_onnx/reference"},
        teacher={"checkpoint": "reference"},
        data={"task": "classification", "train": own, "max_length": 24},
        training=training(steps=1, batch_size=2),
    )
    code, line = run_command("finetune", recipe)
    assert code == 0, line
