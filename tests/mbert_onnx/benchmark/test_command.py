"""`mbert-onnx bench`: exit codes of failures and interrupts, and the devices that it accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exported_checkpoints import Exports
from typer.testing import CliRunner

from mbert_onnx.cli.application import app
from perf.machine import footprint
from perf.timing import description, repetitions

SHORT = ["--seq-len", "4", "--threads", "1", "--budget", "0.1"]


@pytest.fixture(autouse=True)
def one_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further load is a process that imports onnxruntime."""
    monkeypatch.setattr(footprint, "LOADS", 1)


def test_a_model_that_fails_is_a_row_and_exit_1(exported: Exports, tmp_path: Path) -> None:
    bundle, file = str(exported().bundle), tmp_path / "report.json"
    found = CliRunner().invoke(app, ["bench", "none.onnx", bundle, *SHORT, "--json", str(file)])
    assert found.exit_code == 1
    assert "not timed" in found.stdout
    assert "does not exist" in " ".join(found.stdout.split())
    report = json.loads(file.read_text())
    assert [item["name"] for item in report["failures"]] == ["none.onnx"]
    assert [item["name"] for item in report["subjects"]] == [bundle]
    assert report["command"][0] == "mbert-onnx"
    markdown = CliRunner().invoke(app, ["report", str(file), "--markdown"])
    assert markdown.exit_code == 0
    assert "| none.onnx | none.onnx does not exist;" in markdown.stdout


def test_an_interrupt_prints_the_measurements_until_then(
    exported: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perf.timing.cell import repeat

    done: list[object] = []

    def interrupt_fourth(*arguments: object, **options: object) -> object:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(repeat(*arguments, **options))  # type: ignore[arg-type]
        return done[-1]

    monkeypatch.setattr(repetitions, "repeat", interrupt_fourth)
    monkeypatch.setattr(description, "footprint", lambda *_, **__: footprint.Footprint((1.0,), 1.0, 1))
    bundle, file = str(exported().bundle), tmp_path / "report.json"
    names = [f"portable:{bundle}", bundle]
    found = CliRunner().invoke(app, ["bench", *names, *SHORT, "--json", str(file)])
    assert found.exit_code == 130
    assert found.stderr.endswith("mbert-onnx: interrupted; the measurements until then are above\n")
    assert "too few repetitions" in " ".join(found.stdout.split())
    report = json.loads(file.read_text())
    assert report["interrupted"] is True
    assert len(report["cells"][0]["rounds"]) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "phone"], "unknown device 'phone'; expected local"),
        (["--device", "ssh://"], "ssh://"),
        (["--device", "ssh://x", "--texts", "t"], "--device is ssh://x, and --texts is given, which is for local"),
        (
            ["--device", "emulated-arm64", "--provider", "qnn"],
            "--provider is qnn; --device emulated-arm64 has only cpu and",
        ),
        (["--device", "emulated-arm64", "--markdown"], "--markdown is given with --device emulated-arm64"),
        (
            ["--texts", "t", "--markdown"],
            "--markdown is given with --texts, which times one text after the other; leave",
        ),
        (["--texts", "t", "--batch", "1", "--profile"], "--batch and --profile are given with --texts, which times"),
        (["--texts", "t", "--budget", "3", "--precision", "0.1"], "--precision and --budget are given with --texts"),
        (["--texts", "t", "--threads", "1,2"], "--threads is 1,2; expected one number with --texts"),
        (["--texts", "t", "--first", "9" * 20], f"--first is {'9' * 20}; expected 1 to 1,000,000"),
        (["--texts", "t", "--seq-len", "9" * 20], f"--seq-len is {'9' * 20}; expected 1 to 1,048,576"),
        (["--texts", "t", "--ragged", "4,8"], "--ragged is given with --texts, which times"),
        (["--device", "emulated-arm64", "--ragged", "4,8"], "--ragged is given with --device emulated-arm64"),
        (["--ragged", "4,x"], "--ragged is '4,x'; expected whole numbers with commas, such as 8,32"),
        (["--ragged", "4"], "--ragged has 1 length; expected those of 2 to 1,024 texts, such as 16,64,128"),
        (["--first", "3"], "--first is given without --texts, whose texts it counts; leave it out"),
        (["--device", "ssh://x", "--provider", "gpu"], "unknown provider 'gpu'"),
        (["--device", "ssh://x", "--kernels", "fast"], "--kernels is 'fast'; expected one of"),
    ],
)
def test_bad_devices_are_errors_of_one_line(options: list[str], message: str) -> None:
    found = CliRunner().invoke(app, ["bench", "random", *options])
    assert found.exit_code == 2
    assert message in found.stderr
    assert found.stderr.count("\n") == 1


def test_doctor_of_a_provider_reads_no_texts(exported: Exports, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("a")
    found = CliRunner().invoke(app, ["doctor", "random", "--provider", "qnn", "--calibrate", str(texts)])
    assert found.exit_code == 2
    assert found.stderr.startswith("mbert-onnx: --calibrate is given with --provider, which reads no texts")
    listed = CliRunner().invoke(app, ["doctor", str(exported().bundle), "--provider", "xnnpack,cpu", "--json"])
    assert listed.exit_code == 0, listed.output
    assert [item["forecast"]["provider"] for item in json.loads(listed.stdout)] == ["xnnpack", "cpu"]
    printed = CliRunner().invoke(app, ["doctor", str(exported().bundle), "--provider", "cpu"])
    assert "says the provider itself, onnxruntime 1." in printed.stdout
