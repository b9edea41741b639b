"""`verify` of text files: tokens, the model inside, answers; and what cannot be compared."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from exported_checkpoints import Exported, Exports
from small_checkpoints import put_tensors, tensors_of
from text_bundles import write_text_file
from typer.testing import CliRunner

from mbert_onnx import verify
from mbert_onnx.cli.application import app
from mbert_onnx.conversion.verification import text_check
from mbert_onnx.conversion.verification.answers import TEXTS
from mbert_onnx.conversion.verification.tokens.code_points import POINTS
from mbert_onnx.errors import BundleError, UsageError, VerificationError
from mbert_onnx.text.tasks import TASKS, TEXT_CLASSIFICATION

# The first code points: all take seconds.
SOME_POINTS = POINTS[:1000]


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Few code points and texts."""
    monkeypatch.setenv("MBERT_ONNX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(text_check, "check_node", partial(text_check.check_node, points=SOME_POINTS))
    monkeypatch.setattr(text_check, "PER_CLASS", 10)
    monkeypatch.setattr(text_check, "TRUNCATED", 4)


@pytest.fixture(scope="module")
def checkpoint(exported: Exports) -> Exported:
    """A small checkpoint that classifies, and its bundle."""
    return exported("text-classification")


@pytest.fixture
def bundle(checkpoint: Exported, tmp_path: Path) -> Path:
    """A copy of the bundle, with a text file."""
    folder = tmp_path / "bundle"
    shutil.copytree(checkpoint.bundle, folder)
    write_text_file(folder)
    return folder


def test_a_text_file_and_its_checkpoint(checkpoint: Exported, bundle: Path) -> None:
    verdict = verify(bundle / "onnx" / "model_text.onnx", checkpoint.checkpoint)
    assert verdict.passed
    assert verdict.error <= verdict.bar
    assert verdict.torch_error is not None
    assert verdict.text is not None
    assert (verdict.text.tokens.operator, verdict.text.tokens.code_points) == ("Tokenize", 1000)
    assert verdict.text.answers is not None
    assert verdict.text.answers.texts == TEXTS
    assert verdict.as_dict()["text"]["tokens"]["permitted"] == 0


def test_a_text_file_and_a_model_file(bundle: Path, tmp_path: Path) -> None:
    """The text file has the name of no bundle around it: tokenizer and config are the other one's."""
    alone = tmp_path / "alone.onnx"
    shutil.copy(bundle / "onnx" / "model_text.onnx", alone)
    for other in (bundle, bundle / "onnx" / "model_text.onnx"):
        verdict = verify(alone, other)
        assert verdict.passed
        assert verdict.text is not None
        assert verdict.text.answers is not None


@pytest.mark.full
@pytest.mark.parametrize("task", [task.name for task in TASKS if task is not TEXT_CLASSIFICATION])
def test_every_task(exported: Exports, tmp_path: Path, task: str) -> None:
    found = exported(task)
    folder = tmp_path / "bundle"
    shutil.copytree(found.bundle, folder)
    write_text_file(folder)
    for against in (found.checkpoint, folder):
        verdict = verify(folder, against, text=True)
        assert verdict.passed
        assert verdict.text is not None
        assert verdict.text.answers is not None
        assert verdict.text.answers.texts > 0


def test_tokens_alone(bundle: Path) -> None:
    found = CliRunner().invoke(app, ["verify", str(bundle), "--text"], env={"COLUMNS": "300"})
    assert found.exit_code == 0, found.output
    first, second = found.stdout.splitlines()
    assert first.startswith("the same tokens: ids, types, offsets and masks are those of tokenizers")
    assert second == "  not compared  the model inside, and its answers: --against names nothing to compare them with"


def test_the_command_prints_all(checkpoint: Exported, bundle: Path) -> None:
    options = ["verify", str(bundle), "--text", "--against", str(checkpoint.checkpoint)]
    found = CliRunner().invoke(app, options, env={"COLUMNS": "300"})
    assert found.exit_code == 0, found.output
    assert [line.partition(":")[0] for line in found.stdout.splitlines()] == [
        "the same model",
        "the same tokens",
        "the same answers",
    ]
    found = CliRunner().invoke(app, [*options, "--json"])
    content = json.loads(found.stdout)
    assert content["passed"]
    assert content["text"]["answers"]["texts"] == TEXTS


def test_another_checkpoint_gives_other_answers(checkpoint: Exported, bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(checkpoint.checkpoint, other)
    put_tensors(other, tensors_of(other) | {"classifier.bias": torch.tensor([3.0, -3.0])})
    with pytest.raises(VerificationError, match=r"^model_text.onnx gives other answers than .*: scores differ by"):
        verify(bundle, other, text=True)


def test_another_tokenizer_gives_other_tokens(bundle: Path, tmp_path: Path) -> None:
    content = json.loads((bundle / "tokenizer.json").read_text())
    content["normalizer"]["lowercase"] = not content["normalizer"]["lowercase"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(VerificationError, match=r"^model_text.onnx: U\+0041 between spaces gives the ids"):
        verify(bundle, tokenizer=tmp_path, text=True)


def test_what_cannot_be_compared(checkpoint: Exported, bundle: Path, tmp_path: Path) -> None:
    model = bundle / "onnx" / "model.onnx"
    with pytest.raises(UsageError, match=r"--against is missing, and there is nothing to compare model.onnx with"):
        verify(model)
    with pytest.raises(UsageError, match=r"--against is .*model_text\.onnx, a text file, and model\.onnx takes token"):
        verify(model, bundle / "onnx" / "model_text.onnx")
    with pytest.raises(UsageError, match="is no text file, which takes text and no token ids; leave --text out"):
        verify(model, checkpoint.checkpoint, text=True)
    with pytest.raises(UsageError, match=r"has no text file, expected onnx/model_text\.onnx; export it with --text"):
        verify(checkpoint.bundle, text=True)
    with pytest.raises(UsageError, match=r"--task is fill-mask, and model_text\.onnx does text-classification"):
        verify(bundle, task="fill-mask", text=True)
    with pytest.raises(UsageError, match="--min-agreement is for fp16 and int8 files"):
        verify(bundle, checkpoint.checkpoint, min_agreement=0.9, text=True)
    alone = tmp_path / "alone.onnx"
    shutil.copy(bundle / "onnx" / "model_text.onnx", alone)
    with pytest.raises(BundleError, match=r"is in no bundle with a tokenizer.json, .*; pass --tokenizer with"):
        verify(alone)
