"""`mbert-onnx report`: what bench has written, printed again and compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exported_checkpoints import Exports
from typer.testing import CliRunner

import mbert_onnx
from mbert_onnx.cli.application import app
from perf.machine import footprint


@pytest.fixture
def result(exported: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What bench writes of a small model."""
    monkeypatch.setattr(footprint, "LOADS", 1)
    file = tmp_path / "a.json"
    mbert_onnx.bench(str(exported().bundle), seq_lens=[8], threads=[1], budget=0.1, json=file)
    return file


def test_a_result_is_printed_again_and_compared(result: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    again = run(app, ["report", str(result), str(result)])
    assert again.exit_code == 0, again.output
    assert again.output.count("± is the 95 % interval of the median") == 2
    markdown = run(app, ["report", str(result), "--markdown"])
    assert "| threads | tokens | model | median ms |" in markdown.output

    same = run(app, ["report", "--compare", str(result), str(result)])
    assert (same.exit_code, "not significant" in same.output) == (0, True)

    told = json.loads(result.read_text())
    for item in told["cells"][0]["measurements"]:
        item["times_ms"] = [100 * time for time in item["times_ms"]]
    slow = tmp_path / "slow.json"
    slow.write_text(json.dumps(told))
    slower = run(app, ["report", "--compare", str(result), str(slow)])
    assert (slower.exit_code, "slower" in slower.output) == (1, True)
    faster = run(app, ["report", "--compare", str(slow), str(result)])
    assert (faster.exit_code, "faster" in faster.output) == (0, True)
    assert mbert_onnx.compare(result, slow).slower
    assert mbert_onnx.read_report(result).subjects[0].cpu_difference is None


def test_a_page_and_a_plot_are_drawn(result: Path, tmp_path: Path) -> None:
    name = json.loads(result.read_text())["subjects"][0]["name"]
    quality = tmp_path / "quality.json"
    quality.write_text(json.dumps({"metric": "accuracy", "models": {name: 0.75}}))
    page, plot = tmp_path / "page.html", tmp_path / "plot.svg"
    options = ["--html", str(page), "--quality", str(quality), "--plot", str(plot)]
    found = CliRunner().invoke(app, ["report", str(result), *options])
    assert found.exit_code == 0, found.output
    assert found.output == f"{page}\n{plot}\n"
    text = page.read_text(encoding="utf-8")
    assert "Latency against accuracy" in text
    assert "<svg" in text
    assert plot.read_text().startswith("<?xml")
    quality.write_text(json.dumps({"metric": "accuracy", "models": {"another": 1}}))
    refused = CliRunner().invoke(app, ["report", str(result), "--html", str(page), "--quality", str(quality)])
    assert refused.exit_code == 2
    assert "another" in refused.stderr
    assert page.read_text(encoding="utf-8") == text


def test_names_of_any_characters_are_printed_and_drawn(
    result: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """As another program may write them: NUL, half a character, another writing direction, CJK, markup, very long."""
    content = json.loads(result.read_text())
    name = content["subjects"][0]["name"]
    odd = [
        "nul\0",
        "half \ud800",
        "\u202eevil\x1b[31m",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u4e2d\u6587",
        "$\\frac$",
        "a b/c d",
        "x" * 3000,
    ]
    content["subjects"] = [{**content["subjects"][0], "name": one} for one in odd]
    for cell in content["cells"]:
        [only] = cell["measurements"]
        assert only["subject"] == name
        cell["measurements"] = [{**only, "subject": one} for one in odd]
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(content))
    outputs = ["--html", str(tmp_path / "p.html"), "--plot", str(tmp_path / "p.png")]
    for options in ([], ["--markdown"], outputs, ["--compare", str(file)]):
        found = CliRunner().invoke(app, ["report", str(file), *options])
        assert (found.exit_code, found.stderr) == (0, ""), options
        assert not set(found.stdout) & {"\0", "\x1b", "\u202e"}
    assert not [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.json"], 1, "cannot read none.json: No such file or directory; expected a report of bench --json"),
        (["--compare", "a.json"], 2, "--compare is given with 1 file; expected two files, OLD.json NEW.json, and no"),
        (["--compare", "a", "b", "c"], 2, "--compare is given with 3 files; expected two files"),
        (["--compare", "a", "b", "--markdown"], 2, "--compare is given with --markdown; expected two files"),
        (
            ["a", "b", "--compare", "--html", "x"],
            2,
            "--html is given with --compare or --markdown; expected one of",
        ),
        (["a", "--quality", "x"], 2, "--quality is given without --html or --plot, which show it"),
        (["a", "--html", "x", "--metric", "f1"], 2, "--metric is given without --quality, whose evaluations have it"),
        (["none.json", "--html", "x.html"], 1, "cannot read none.json: No such file or directory"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], code: int, message: str) -> None:
    found = CliRunner().invoke(app, ["report", *arguments])
    assert found.exit_code == code
    assert found.stderr.startswith(f"mbert-onnx: {message}")
    assert found.stderr.count("\n") == 1
