"""Trainings that several tests read: each is trained once for all test processes. Tests must not change them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from training_recipes import distill_recipe, finetune_recipe, pretrain_recipe, write_corpus, write_labels

from mbert_onnx import finetune, pretrain, transfer


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
