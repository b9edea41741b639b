"""Trainings that several tests read: each is trained once for all test processes. Tests must not change them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from training_recipes import distill_recipe, finetune_recipe, pretrain_recipe, write_corpus, write_labels
from typer.testing import CliRunner

from mbert_onnx import finetune, pretrain, transfer
from mbert_onnx.cli.application import app

KILLED = """
import os, signal, sys
import mbert_onnx

def kill(name, step, steps, losses):
    if [name, str(step)] == sys.argv[3:]:
        os.kill(os.getpid(), signal.SIGKILL)

getattr(mbert_onnx, sys.argv[1])(sys.argv[2], tell=kill)
"""

PATIENCE = 120.0
"""Seconds that a training may take."""


@pytest.fixture(scope="session")
def kill_and_resume() -> Callable[..., str]:
    """Returns a function that trains a recipe, is killed, and resumes."""

    def run_twice(command: str, recipe: Path, run: Path, stage: str, step: int) -> str:
        """Trains in a process that kills itself at a step, and resumes; returns the checkpoint that is resumed."""
        function = {"pretrain": "pretrain", "distill": "transfer"}[command]
        program = [sys.executable, "-c", KILLED, function, str(recipe), stage, str(step)]
        killed = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        checkpoints = run / "checkpoints"
        assert not (run / "model").exists()
        [kept] = [path for path in checkpoints.iterdir() if not path.name.startswith(".")]
        # As if killed while writing the next checkpoint and a line of the curves.
        shutil.copytree(kept, checkpoints / ".partial-00-009999")
        (checkpoints / ".partial-00-009999" / "optimizer.bin").unlink()
        with (run / "losses.jsonl").open("a") as file:
            file.write('{"stage": 0, "st')
        resumed = CliRunner().invoke(app, [command, str(recipe)])
        assert resumed.exit_code == 0, resumed.stderr
        return kept.name

    return run_twice


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of corpus, labels, recipes and runs, shared by all processes of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trainings"
    folder.mkdir(exist_ok=True)
    return folder


def once(folder: Path, train: Callable[[], Path]) -> Path:
    """Returns the model of a run folder, which the first process trains."""
    with FileLock(folder.with_suffix(".lock")):
        return folder / "model" if (folder / "model").is_dir() else train()


@pytest.fixture(scope="session")
def corpus(trainings: Path) -> Path:
    path = trainings / "corpus.txt"
    with FileLock(trainings / "corpus.lock"):
        return path if path.is_file() else write_corpus(path)


@pytest.fixture(scope="session")
def labels(trainings: Path) -> Path:
    path = trainings / "labels.tsv"
    with FileLock(trainings / "labels.lock"):
        return path if path.is_file() else write_labels(path)


@pytest.fixture(scope="session")
def teacher(trainings: Path, corpus: Path) -> Path:
    return once(trainings / "teacher", lambda: pretrain(pretrain_recipe(trainings, corpus, trainings / "teacher")))


@pytest.fixture(scope="session")
def student(trainings: Path, corpus: Path, teacher: Path) -> Callable[[str], Path]:
    """Returns the student of a strategy."""

    def of(strategy: str) -> Path:
        run = trainings / strategy
        return once(run, lambda: transfer(distill_recipe(trainings, corpus, teacher, run, strategy)))

    return of


@pytest.fixture(scope="session")
def classifier(trainings: Path, labels: Path, student: Callable[[str], Path]) -> Path:
    """Returns the student of progressive transfer, fine-tuned by the recipe `classifier.toml`."""
    base, run = student("progressive"), trainings / "classifier"
    return once(run, lambda: finetune(finetune_recipe(trainings, labels, base, run)))
