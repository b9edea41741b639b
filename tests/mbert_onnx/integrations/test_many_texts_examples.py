"""The example programs for Spark, Beam and a service: each runs as it stands, and answers as the runtime."""

from __future__ import annotations

import csv
import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mbert_onnx import load

PROGRAMS = Path(__file__).parents[3] / "examples" / "many_texts"
MOST_LINES = 40
TEXTS = ["grace built a compiler", 'a "moth", in the machine', "", "who wrote it ?", " ", "\u200b", "alan walked"] * 20


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        importlib.util.find_spec(package) is None, reason=f"`make test-clusters` installs {package} for this"
    )


@pytest.fixture
def bundle(runtime_bundle: Callable[..., Any]) -> Path:
    return Path(runtime_bundle("text-classification").folder)


def expected(bundle: Path) -> list[tuple[str, str]]:
    """Labels and texts; the label is empty where the model has no answer."""
    texts = [text for text in TEXTS if text.strip()]
    labels = [getattr(one, "label", "") for one in load(bundle).try_many(texts)]
    assert labels.count("") == texts.count("\u200b")
    return sorted(zip(labels, texts, strict=True))


def run(*command: object, folder: Path) -> None:
    root = str(PROGRAMS.parents[1])
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join([str(folder), root])}
    parts = [str(part) for part in command]
    done = subprocess.run(parts, capture_output=True, text=True, env=environment, cwd=folder, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("name", ["spark_labels.py", "beam_labels.py", "service.py"])
def test_a_program_is_short(name: str) -> None:
    assert len((PROGRAMS / name).read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.full
@needs("pyspark")
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
def test_spark_answers_as_the_runtime_does_with_one_model_in_a_process(bundle: Path, tmp_path: Path) -> None:
    import pyarrow.parquet

    inputs = tmp_path / "in"
    inputs.mkdir()
    for place in range(6):  # a task for each file, so that a process has several
        with (inputs / f"{place}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["text"], *([text] for text in TEXTS[place::6])])
    # Each call of `load` leaves a file with the number of its process.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, tempfile\nimport mbert_onnx\nloading = mbert_onnx.load\n"
        "def load(*values, **options):\n"
        f"    tempfile.mkstemp(prefix=f'{{os.getpid()}}-', suffix='.loaded', dir={str(tmp_path)!r})\n"
        "    return loading(*values, **options)\n"
        "mbert_onnx.load = load\n"
    )
    submit = Path(sys.executable).with_name("spark-submit")
    settings = {
        "spark.sql.files.maxPartitionBytes": "1",
        "spark.sql.parquet.compression.codec": "zstd",  # its snappy takes the wrong one of two C libraries
        "spark.ui.enabled": "false",
    }
    options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    program = PROGRAMS / "spark_labels.py"
    run(submit, "--master", "local[2]", *options, program, bundle, "in", "out", folder=tmp_path)
    rows = pyarrow.parquet.read_table(tmp_path / "out").to_pylist()
    assert sorted((row["label"] or "", row["text"]) for row in rows) == expected(bundle)
    processes = [path.name.partition("-")[0] for path in tmp_path.glob("*.loaded")]
    assert 0 < len(processes) == len(set(processes)) <= 2


@pytest.mark.full
@needs("apache_beam")
def test_beam_answers_as_the_runtime_does(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    run(sys.executable, PROGRAMS / "beam_labels.py", bundle, "texts.txt", "out", folder=tmp_path)
    lines = [line for path in tmp_path.glob("out-*") for line in path.read_text().splitlines()]
    assert sorted(tuple(line.split("\t")) for line in lines) == expected(bundle)


@pytest.mark.full
@needs("fastapi")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_service_answers_in_all_threads_as_the_runtime_does(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastapi.testclient import TestClient

    monkeypatch.setenv("MODEL", str(bundle))
    program = runpy.run_path(str(PROGRAMS / "service.py"))
    client = TestClient(program["app"])
    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(lambda _: client.post("/classify", json=TEXTS), range(8)))
    one, *others = [reply.json() for reply in replies]
    assert all(other == one for other in others)
    found = [(row["labels"][0]["label"], text) for row, text in zip(one, TEXTS, strict=True) if "error" not in row]
    assert sorted(found) == [pair for pair in expected(bundle) if pair[0]]
    assert one[TEXTS.index("")] == {"error": "The text is empty. Give some text."}
