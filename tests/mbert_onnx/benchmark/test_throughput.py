"""`bench --throughput`: texts per second of whole passes, by models, tokens per run and worker processes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from exported_checkpoints import Exports
from typer.testing import CliRunner

from mbert_onnx import UsageError, bench_throughput
from mbert_onnx.cli.application import app
from perf.timing.texts.throughput import PASSES


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("texts") / "questions.jsonl"
    pairs = [("who wrote it ?", "ada wrote the first program in london ."), ("where ?", "it was in paris .")]
    lines = [json.dumps({"question": q, "context": c}) for q, c in [*pairs, ("when ?", "the fox jumps . " * 20)]]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_every_configuration_reads_all_texts(exported: Exports, questions: Path, tmp_path: Path) -> None:
    report = bench_throughput(
        exported().bundle, questions, run_tokens=[1, 128], workers=[1, 2], json=tmp_path / "report.json"
    )
    first, *others = report.rows
    assert report.texts == 3
    found = [(row.configuration.tokens_per_run, row.configuration.workers) for row in report.rows]
    assert found == [(1, 1), (1, 2), (128, 1), (128, 2)]
    assert first.speedup is None
    assert all(row.speedup is not None and row.speedup.low <= row.speedup.median for row in others)
    for row in report.rows:
        assert len(row.seconds) == PASSES
        assert row.low <= row.texts_per_second <= row.high
        assert 0 < sum(row.shares.values()) <= 1
        assert min(row.shares.values()) > 0
        assert row.memory_bytes > 2**24
        # Texts of different lengths share a run, unless each is alone.
        assert (row.padding > 0) == (row.configuration.tokens_per_run == 128)
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved["schema"] == "mbert-onnx/bench-throughput"
    assert len(saved["rows"]) == len(report.rows)


@pytest.mark.full
def test_other_runtimes_have_the_same_batches(exported: Exports, questions: Path) -> None:
    """A model in a worker process gives outputs and its own times; answers depend on the batch, as the trigram does."""
    names = [f"ort-dynamic:{exported().bundle}", f"torch:{exported().checkpoint}"]
    dynamic, torch = bench_throughput(names, questions).rows
    assert dynamic.padding == torch.padding > 0
    assert dynamic.tokens_per_second / dynamic.texts_per_second == pytest.approx(
        torch.tokens_per_second / torch.texts_per_second
    )
    assert torch.shares["model"] > 0
    for row in (dynamic, torch):
        assert any("depend on the other texts of a run" in note for note in row.notes)


def test_what_cannot_be_is_one_line(exported: Exports, questions: Path, tmp_path: Path) -> None:
    bundle = str(exported().bundle)
    with pytest.raises(UsageError, match="--workers is 0; expected 1 to 256"):
        bench_throughput(bundle, questions, workers=[0])
    with pytest.raises(UsageError, match="--run-tokens is 0; expected 1 to"):
        bench_throughput(bundle, questions, run_tokens=[0])
    with pytest.raises(UsageError, match="is given twice; give each model once"):
        bench_throughput([bundle, bundle], questions)
    alone = shutil.copy(exported().model, tmp_path / "alone.onnx")
    with pytest.raises(UsageError, match=r"alone\.onnx has no tokenizer; expected a bundle"):
        bench_throughput(alone, questions)
    with pytest.raises(UsageError, match=r"is for question-answering, and .* for text-classification; expected"):
        bench_throughput([bundle, str(exported("text-classification").bundle)], questions)
    for options, line in (
        (["--throughput"], "--throughput is given without --texts; name the file of the texts"),
        (["--texts", str(questions), "--run-tokens", "8"], "--run-tokens is given without --throughput"),
        (["--texts", str(questions), "--throughput", "--batch", "2"], "--batch is given with --throughput"),
    ):
        done = CliRunner().invoke(app, ["bench", bundle, *options])
        assert done.exit_code == 2
        assert line in done.output
