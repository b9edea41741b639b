"""The recipe of docs/development/adding-a-runtime.md, applied to a copy of the source: one file and one row."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest
from exported_checkpoints import Exports

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "development" / "adding-a-runtime.md"
REGISTRY = "mbert_onnx/benchmark/models/prefixes.py"
END_OF_ROWS = "\n)\n\n\ndef parse("
SHORT = ("--seq-len", "4", "--threads", "1", "--budget", "0.05")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the three packages and the docs, changed as the page says."""
    copy = tmp_path_factory.mktemp("source")
    for folder in ("mbert_onnx", "graphs", "perf", "docs"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    page = PAGE.read_text(encoding="utf-8")
    session, row = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    (file,) = re.findall(r"^`(perf/.*\.py)`:$", page, flags=re.MULTILINE)
    (copy / file).write_text(session, encoding="utf-8")
    registry = (copy / REGISTRY).read_text(encoding="utf-8")
    assert registry.count(END_OF_ROWS) == 1
    added = f"\n{indent(row.rstrip(), '    ')},{END_OF_ROWS}"
    (copy / REGISTRY).write_text(registry.replace(END_OF_ROWS, added), encoding="utf-8")
    return copy


def run(source: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200"}
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)


def test_it_is_in_the_help(source: Path) -> None:
    done = run(source, "mbert_onnx", "bench", "--help")
    assert done.returncode == 0, done.stderr
    assert "onnx-reference:MODEL  The model in ONNX's reference evaluator" in done.stdout


def test_it_is_in_the_table(source: Path) -> None:
    done = run(source, "mbert_onnx.benchmark.models.table")
    assert done.returncode == 0, done.stderr
    page = (source / "docs" / "benchmarking.md").read_text(encoding="utf-8")
    assert "\n| `onnx-reference:MODEL` | The model in ONNX's reference evaluator" in page


def test_it_is_among_the_known_prefixes(source: Path) -> None:
    done = run(source, "mbert_onnx", "bench", "onnx-refrence:random")
    assert done.returncode == 2
    assert "onnx-refrence: is not a known prefix" in done.stderr
    assert " onnx-reference:;" in done.stderr


def test_it_is_timed(source: Path, exported: Exports) -> None:
    bundle, report = str(exported().bundle), source / "report.json"
    done = run(source, "mbert_onnx", "bench", bundle, f"onnx-reference:{bundle}", *SHORT, "--json", report)
    assert done.returncode == 0, done.stderr
    _, reference = json.loads(report.read_text())["subjects"]
    assert reference["name"] == f"onnx-reference:{bundle}"
    assert reference["runtime"].endswith("(reference evaluator)")
    assert reference["difference"] < 1e-4
    assert reference["placement"]["operators"]["onnx"]
