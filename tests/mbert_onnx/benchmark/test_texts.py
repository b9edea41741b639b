"""`bench --texts`: models on real texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from exported_checkpoints import Exports
from typer.testing import CliRunner

from mbert_onnx import CalibrationError, UsageError, bench_texts
from mbert_onnx.cli.application import app
from perf.timing.texts.padding import PASSES


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("texts") / "questions.jsonl"
    pairs = [("who wrote it ?", "ada wrote the first program in london ."), ("where ?", "it was in paris .")]
    lines = [json.dumps({"question": q, "context": c}) for q, c in [*pairs, ("when ?", "the fox jumps . " * 30)]]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_own_lengths_and_padded(exported: Exports, questions: Path, tmp_path: Path) -> None:
    told: list[str] = []
    report = bench_texts(
        exported().bundle,
        questions,
        seq_len=32,
        json=tmp_path / "report.json",
        progress=told.append,
        kernels="portable",
    )
    own, padded = report.rows
    assert report.texts == 3
    assert own.name.endswith(", own lengths")
    assert padded.name.endswith(", padded to 32")
    assert padded.tokens == 32
    assert own.tokens < 32
    assert own.speedup is None
    assert padded.speedup is not None
    assert padded.speedup.low <= padded.speedup.median <= padded.speedup.high
    assert len(own.passes_ms) == PASSES
    assert f"pass {PASSES} of {PASSES}" in told
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved["schema"] == "mbert-onnx/bench-texts"
    assert [row["name"] for row in saved["rows"]] == [own.name, padded.name]


def test_only_the_first_are_read(exported: Exports, questions: Path) -> None:
    report = bench_texts(exported().bundle, questions, first=2, seq_len=40)
    assert report.texts == 2
    whole = bench_texts(exported().bundle, questions)  # the default is 384, and the model has 40 positions
    assert whole.rows[0].tokens > report.rows[0].tokens


@pytest.mark.full
def test_a_file_of_a_fixed_length_is_only_padded_for(exported: Exports, questions: Path) -> None:
    report = bench_texts([str(exported().bundle), f"mobile:{exported().checkpoint}"], questions, seq_len=16)
    assert [row.name.rpartition(", ")[2] for row in report.rows] == ["own lengths", "padded to 16", "padded to 16"]


def test_what_cannot_be_is_one_line(exported: Exports, questions: Path, tmp_path: Path) -> None:
    bundle = exported().bundle
    with pytest.raises(UsageError, match=r"--seq-len is 4096; .* takes at most 40 tokens"):
        bench_texts(bundle, questions, seq_len=4096)
    with pytest.raises(UsageError, match="--first is 0"):
        bench_texts(bundle, questions, first=0)
    alone = shutil.copy(exported().model, tmp_path / "alone.onnx")
    with pytest.raises(UsageError, match=r"alone\.onnx has no tokenizer; expected a bundle, or a checkpoint"):
        bench_texts(alone, questions, seq_len=16)
    (tmp_path / "plain.txt").write_text("no question\n")
    with pytest.raises(CalibrationError, match="has no text that question-answering reads"):
        bench_texts(bundle, tmp_path / "plain.txt", seq_len=16)
    done = CliRunner().invoke(app, ["bench", str(bundle), "--texts", str(questions), "--seq-len", "8,16"])
    assert done.exit_code == 2
    assert "expected one length with --texts" in done.output


@pytest.mark.parametrize("texts", [False, True])
def test_outputs_that_are_not_finite_are_no_valid_result(
    texts: bool, exported: Exports, questions: Path, tmp_path: Path
) -> None:
    """Of one model alone, on random ids and on texts: the times are printed, with a warning, and the exit code is 1."""
    shutil.copytree(exported().bundle, tmp_path / "bundle")
    file = tmp_path / "bundle" / "onnx" / "model.onnx"
    model = onnx.load(file)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor).copy()
            values.flat[-1] = np.nan
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, file)
    options = ["--texts", str(questions), "--seq-len", "16"] if texts else ["--seq-len", "4", "--budget", "0.05"]
    arguments = ["bench", str(tmp_path / "bundle"), *options, "--threads", "1", "--json", str(tmp_path / "r.json")]
    done = CliRunner().invoke(app, [*arguments, "--kernels", "portable"])
    assert done.exit_code == 1
    found = "its outputs start_logits, end_logits are NaN or infinite at 4 tokens"
    if texts:
        found = "its output start_logits is NaN or infinite for 3 of 3 texts"
    assert f"is not usable: {found}; disregard its times" in done.stdout
    assert done.stderr.splitlines()[-1].startswith(f"mbert-onnx: {tmp_path / 'bundle'}")
    assert done.stderr.splitlines()[-1].endswith(
        ": outputs are NaN or infinite, see above; these times are no valid result"
    )
    saved = json.loads((tmp_path / "r.json").read_text())
    assert saved["rows" if texts else "subjects"][0]["non_finite"]["start_logits"] == (3 if texts else [4])


def test_the_command_prints_a_table(exported: Exports, questions: Path) -> None:
    done = CliRunner().invoke(app, ["bench", str(exported().bundle), "--texts", str(questions), "--seq-len", "16"])
    assert done.exit_code == 0, done.output
    assert "3 texts of questions.jsonl" in done.output
    assert "padded to 16" in done.output
