"""`predict` in several processes: killed workers, the trial of `auto`, interrupts, a full disk, kills of the whole."""

from __future__ import annotations

import csv
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

import mbert_onnx
from mbert_onnx.errors import MbertError
from mbert_onnx.prediction.engines import cores, trial
from mbert_onnx.prediction.engines.engine import Input
from mbert_onnx.prediction.engines.local import LocalWorkers, WorkerError
from mbert_onnx.prediction.reading import blocks
from mbert_onnx.prediction.reading.columns import ColumnNames, find_layout
from mbert_onnx.prediction.reading.sources import find_sources
from mbert_onnx.prediction.report import Progress
from mbert_onnx.prediction.settings import Settings
from mbert_onnx.prediction.types import Position
from mbert_onnx.text.tasks import TEXT_CLASSIFICATION

ROWS = 1_200
WORDS = ["a", "warm", "funny", "and", "deeply", "moving", "film", "two", "hours", "that", "I", "will", "never", "get"]
# The command with chunks and parts so small that a short file has many.
COMMAND = """\
import sys
from mbert_onnx.prediction.jobs import job
from mbert_onnx.prediction.reading import blocks
blocks.MOST_ROWS, job.PART_ROWS = 20, 60
from mbert_onnx.cli import main
main()
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of texts of many lengths; each hundredth is empty."""
    generator = random.Random(0)
    path = tmp_path_factory.mktemp("texts") / "texts.csv"
    rows = [[n, " ".join(generator.choices(WORDS, k=generator.randint(1, 30) if n % 100 else 0))] for n in range(ROWS)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], *rows])
    return path


@pytest.fixture(scope="module")
def expected(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The output of one process that nothing disturbs."""
    output = tmp_path_factory.mktemp("expected") / "out.csv"
    report = mbert_onnx.predict("reference", texts, output, workers=1)
    assert (report.rows, report.bad) == (ROWS - ROWS // 100, ROWS // 100)
    return output.read_bytes()


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST_ROWS", 20)


class Killer:
    """A progress callback that kills workers, once: those of this process."""

    def __init__(self, count: int, after_rows: int) -> None:
        self._count, self._after = count, after_rows
        self._spared = psutil.Process().children()  # of other tests, such as multiprocessing's resource tracker

    def __call__(self, state: Progress) -> None:
        if state.rows >= self._after and self._count:
            workers = [child for child in psutil.Process().children() if child not in self._spared]
            for child in workers[: self._count]:
                child.kill()
            self._count = 0


@pytest.mark.usefixtures("_small_chunks")
def test_a_killed_worker_loses_nothing(texts: Path, expected: bytes, tmp_path: Path) -> None:
    notes: list[str] = []
    output = tmp_path / "out.csv"
    before = psutil.Process().children()
    report = mbert_onnx.predict("reference", texts, output, workers=2, progress=Killer(1, 100), notes=notes.append)
    assert output.read_bytes() == expected
    assert report.bad == ROWS // 100
    assert notes == ["a worker ended with signal SIGKILL; continuing with 1 worker"]
    assert psutil.Process().children() == before


@pytest.mark.full
@pytest.mark.usefixtures("_small_chunks")
def test_without_a_worker_left_it_ends_and_continues(texts: Path, expected: bytes, tmp_path: Path) -> None:
    notes: list[str] = []
    output = tmp_path / "out.csv"
    with pytest.raises(WorkerError, match="the last worker ended with signal SIGKILL; free some memory"):
        mbert_onnx.predict("reference", texts, output, workers=2, progress=Killer(2, 100), notes=notes.append)
    match = re.fullmatch(r"(\d+) rows are in .*out.csv.parts; the same command continues after them", notes[-1])
    assert match is not None
    assert int(match[1]) >= 100
    report = mbert_onnx.predict("reference", texts, output, workers=1)
    assert report.done_before == int(match[1])
    assert output.read_bytes() == expected


def rows_of(texts: Path) -> Input:
    sources = find_sources([texts])
    layout = find_layout(sources, TEXT_CLASSIFICATION, ColumnNames(), [], keep_json=True)
    return Input(sources, layout, Position())


def test_what_a_worker_refuses_is_raised(texts: Path) -> None:
    with (
        pytest.raises(MbertError, match="none does not exist"),
        LocalWorkers(Settings("none", 1), 2, lambda _: None) as engine,
    ):
        list(engine.results(rows_of(texts)))


@pytest.mark.full
@pytest.mark.usefixtures("_small_chunks")
def test_auto_measures_and_says_what_it_took(
    texts: Path, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.1)
    monkeypatch.setattr("mbert_onnx.prediction.pipeline.usable_cores", lambda: 2)
    notes: list[str] = []
    mbert_onnx.predict("reference", texts, tmp_path / "out.csv", workers="auto", notes=notes.append)
    assert (tmp_path / "out.csv").read_bytes() == expected
    speed = r"[\d,]+ texts/s"
    one, two = f"1 worker with 2 threads: {speed}", f"2 workers with 1 thread: {speed}"
    taken = (f"{one}; {two}; taken: --workers 1 --threads 2", f"{two}; {one}; taken: --workers 2 --threads 1")
    assert any(re.fullmatch(line, notes[0]) for line in taken), notes


def test_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    for content, expected in (("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("", 8)):
        (tmp_path / "cpu.max").write_text(content)
        monkeypatch.setattr(cores, "CPU_MAX", tmp_path / "cpu.max")
        assert cores.usable_cores() == expected


# The command in processes of its own, which are interrupted or killed


def start(texts: Path, output: Path, *options: str, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    arguments = ["predict", "reference", str(texts), "-o", str(output), *options]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


def interruptible() -> None:
    """A shell starts what it runs in the background with SIGINT ignored; that is not what is tested here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_for_parts(process: subprocess.Popen[str], output: Path, count: int) -> None:
    folder = output.with_name(f"{output.name}.parts")
    while process.poll() is None and len(list(folder.glob("part-*.csv"))) < count:
        time.sleep(0.01)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        pytest.param(signal.SIGTERM, 143, "terminated", marks=pytest.mark.full),
    ],
)
def test_an_interrupt_keeps_what_is_finished(
    number: int, code: int, word: str, texts: Path, expected: bytes, tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    process = start(texts, output, "--workers", "2", before=interruptible)
    wait_for_parts(process, output, 2)
    children = psutil.Process(process.pid).children()
    process.send_signal(number)
    printed = process.communicate()
    assert process.returncode == code, printed
    kept, line = printed[1].splitlines()
    match = re.fullmatch(r"mbert-onnx: ([\d,]+) rows are in .*; the same command continues after them", kept)
    assert match is not None
    assert int(match[1].replace(",", "")) >= 120
    assert line == f"mbert-onnx: {word}; no file is left half-written"
    assert not any(child.is_running() for child in children)
    assert names(tmp_path) == ["out.csv.parts"]
    assert not list((tmp_path / "out.csv.parts").glob(".partial*"))
    report = mbert_onnx.predict("reference", texts, output, workers=1)
    assert report.done_before == int(match[1].replace(",", ""))
    assert output.read_bytes() == expected
    assert names(tmp_path) == ["out.csv", "out.csv.errors.jsonl"]


def killed(texts: Path, output: Path, delays: Sequence[float], workers: int) -> int:
    """Kills the command after each delay, in seconds from its first new part; returns how often it was killed."""
    count = 0
    for delay in delays:
        parts = len(list(output.with_name("out.csv.parts").glob("part-*.csv")))
        process = start(texts, output, "--workers", str(workers))
        wait_for_parts(process, output, parts + 1)
        time.sleep(delay)
        children = psutil.Process(process.pid).children() if process.poll() is None else []
        process.kill()
        process.communicate()
        count += process.returncode == -signal.SIGKILL
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive  # workers end with their parent
    return count


@pytest.mark.parametrize(
    ("kills", "workers"),
    [(1, 2), pytest.param(8, 2, marks=pytest.mark.full), pytest.param(8, 1, marks=pytest.mark.full)],
)
def test_a_killed_job_continues_and_writes_each_row_once(
    kills: int, workers: int, texts: Path, expected: bytes, tmp_path: Path
) -> None:
    generator = random.Random(kills + workers)
    output = tmp_path / "out.csv"
    assert killed(texts, output, [generator.random() * 0.05 for _ in range(kills)], workers) > 0
    final = start(texts, output, "--workers", str(workers))
    printed = final.communicate()
    assert final.returncode == 0, printed
    assert re.search(r"mbert-onnx: continuing after [\d,]+ rows in ", printed[1])
    assert output.read_bytes() == expected
    assert len((tmp_path / "out.csv.errors.jsonl").read_text().splitlines()) == ROWS // 100
    assert names(tmp_path) == ["out.csv", "out.csv.errors.jsonl"]


@pytest.mark.full
def test_a_full_disk_is_one_line_and_finished_parts_stay(texts: Path, expected: bytes, tmp_path: Path) -> None:
    """A limit of the size of files stands for the disk: it is reached when the parts are joined."""
    output = tmp_path / "out.csv"
    limit = len(expected) // 2
    process = start(
        texts, output, "--workers", "1", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    printed = process.communicate()
    assert process.returncode == 1, printed
    *_, kept, line = printed[1].splitlines()
    assert "rows are in" in kept
    assert line == (
        f"mbert-onnx: {output} cannot be written (File too large); free some space, and give the same command again: "
        "it continues after the finished parts"
    )
    assert names(tmp_path) == ["out.csv.errors.jsonl", "out.csv.parts"]
    report = mbert_onnx.predict("reference", texts, output, workers=1)
    assert report.done_before == ROWS
    assert output.read_bytes() == expected
