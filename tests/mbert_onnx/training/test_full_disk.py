"""A full disk during training is a TrainingError of one line, whichever file could not be written."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mbert_onnx.errors import TrainingError
from mbert_onnx.training import finetuning
from mbert_onnx.training.evaluation import submission
from mbert_onnx.training.inputs import teacher_logits
from mbert_onnx.training.loop import curves
from mbert_onnx.training.loop.curves import Curves
from mbert_onnx.training.loop.run_folder import Position, Run
from perf.errors import PerfError


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def open_run(folder: Path) -> None:
    with Run(folder).opened("recipe", overwrite=False):
        pass


def start_curves(folder: Path) -> None:
    Curves(folder, Position(0, 0), [0])


def keep_labels(folder: Path) -> None:
    finetuning._check_labels(Run(folder), ["no", "yes"])


@pytest.mark.parametrize("content", [b"7", b'["no", ', b'["no", "\xff"]'])
def test_damaged_names_of_labels_are_a_training_error(content: bytes, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.rows.mkdir()
    run.labels.write_bytes(content)
    with pytest.raises(TrainingError, match=r"labels.json is damaged \(.*\); expected the names .* pass --overwrite"):
        finetuning._check_labels(run, ["no", "yes"])
    run.labels.write_bytes(b'\xef\xbb\xbf["no", "yes"]')  # a byte order mark
    finetuning._check_labels(run, ["no", "yes"])


@pytest.mark.parametrize("write", [open_run, start_curves, keep_labels])
def test_a_full_disk_is_a_training_error(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(TrainingError, match=r"cannot be written \(No space left on device\)") as caught:
        write(tmp_path)
    assert not isinstance(caught.value, PerfError)
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_full_disk_while_a_run_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    drawn = Curves(tmp_path, Position(0, 0), [0])
    drawn.add(Position(0, 1), "stage", {"loss": 1.0}, 0.1)
    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(TrainingError, match=r"losses\.png cannot be written \(No space left on device\)"):
        drawn.draw()
    drawn.close()
    assert not list(tmp_path.glob("*.png"))


def test_a_full_disk_while_a_loss_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Curves(tmp_path, Position(0, 0), [0])
    monkeypatch.setattr(json, "dumps", full)  # where the line's write begins
    with pytest.raises(TrainingError, match=r"losses\.jsonl cannot be written \(No space left on device\)"):
        recorded.add(Position(0, 1), "stage", {"loss": 1.0}, 0.1)
    recorded.close()


@pytest.mark.parametrize("module", [curves, finetuning, teacher_logits, submission])
def test_training_writes_files_with_this_packages_writer(module: Any) -> None:
    assert module.atomic_file.__module__ == "mbert_onnx.bundles.atomic"
