"""Sessions in a process of their own: they say the same, time themselves, are stopped in between, and may die."""

from __future__ import annotations

import gc
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from perf_models import VOCAB_SIZE, token_model

from perf.errors import PerfError, PerfUsageError
from perf.providers import CPU
from perf.sessions import subprocess_module as child
from perf.sessions.inputs import declared_inputs
from perf.sessions.opener import Opener, describe, placement
from perf.sessions.runtimes import ONNXRUNTIME, onnxruntime_session
from perf.sessions.session import first_run, timer
from perf.sessions.subject import Subject
from perf.sessions.worker import Worker, WorkerSession

FEED = {"input_ids": np.array([[1, 2, 3]])}


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(ONNXRUNTIME, None)
    yield made
    made.close()


def is_stopped(worker: Worker) -> bool:
    """A process that is told to stop does so a moment later."""
    end = time.monotonic() + 10
    while worker._handle.status() != psutil.STATUS_STOPPED and time.monotonic() < end:
        time.sleep(0.01)
    return bool(worker._handle.status() == psutil.STATUS_STOPPED)


def test_it_says_what_a_session_here_says(worker: Worker, tmp_path: Path) -> None:
    path = token_model(tmp_path / "a.onnx")
    near, far = onnxruntime_session.open_session(path, CPU, 1), worker.open(path, "cpu", 1)
    assert declared_inputs(far) == declared_inputs(near)
    assert far.placement() == onnxruntime_session.placement(near)
    assert far.describe() == onnxruntime_session.describe(near)
    np.testing.assert_array_equal(first_run("a", far, FEED)["logits"], first_run("a", near, FEED)["logits"])


def test_it_times_itself_and_is_stopped_meanwhile(worker: Worker, tmp_path: Path) -> None:
    session = worker.open(token_model(tmp_path / "a.onnx"), "cpu", 1)
    run = timer(session, FEED)
    start = time.perf_counter_ns()
    assert 0 < run(False) < time.perf_counter_ns() - start
    assert run(True) > 0
    assert is_stopped(worker)


def test_each_timer_has_its_own_input(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = worker.open(token_model(tmp_path / "a.onnx"), "cpu", 1)
    asked: list[tuple[object, ...]] = []
    ask = worker.ask

    def spy(*question: Any) -> Any:
        asked.append(question)
        return ask(*question)

    monkeypatch.setattr(worker, "ask", spy)
    one, two = timer(session, FEED), timer(session, {"input_ids": np.array([[3]])})
    two(False)
    one(False)
    assert asked[2:] == [("time", 1, 1, False), ("time", 1, 0, False)]


def test_a_session_that_nobody_holds_is_closed_there(worker: Worker, tmp_path: Path) -> None:
    path = token_model(tmp_path / "a.onnx")
    session = worker.open(path, "cpu", 1)
    number = session._number
    del session
    gc.collect()
    worker.open(path, "cpu", 1)
    with pytest.raises(PerfError, match=r"^1$"):  # it knows none of that number any more
        worker.ask("run", number, FEED)


def test_its_errors_are_errors_here(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(PerfError, match=r"no file .*none\.onnx; expected an \.onnx"):
        worker.open(tmp_path / "none.onnx", "cpu", 1)
    with pytest.raises(PerfUsageError, match="unknown provider 'gpu'"):
        worker.open(tmp_path / "none.onnx", "gpu", 1)
    session = worker.open(token_model(tmp_path / "a.onnx"), "cpu", 1)
    with pytest.raises(PerfUsageError, match=r"a does not run on input_ids \[1, 1\].*--seq-len"):
        first_run("a", session, {"input_ids": np.array([[VOCAB_SIZE]])})
    assert len(first_run("a", session, FEED)) == 1  # it goes on


def test_one_that_dies_is_one_line(worker: Worker, tmp_path: Path) -> None:
    session = worker.open(token_model(tmp_path / "a.onnx"), "cpu", 1)
    worker._handle.kill()
    with pytest.raises(PerfError, match=r"the process that runs onnxruntime ended with signal SIGKILL \(no message\)"):
        session.run(None, FEED)


def test_one_that_does_not_start_says_its_last_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(child, "BOOTSTRAP", "raise MemoryError('gone')")
    worker = Worker(ONNXRUNTIME, None)
    with pytest.raises(PerfError, match=r"ended with exit 1 \(MemoryError: gone\)"):
        worker.open(tmp_path / "a.onnx", "cpu", 1)


def test_what_a_library_prints_is_not_an_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    noise = "import os; os.environ['NOISE'] = '1'\n"
    told = child.BOOTSTRAP.replace(
        "importlib.import_module(sys.argv[2])",
        "import perf.sessions.runtimes.onnxruntime_session as m; o = m.open_session\n"
        "def loud(*a, **k):\n    print('noise'); return o(*a, **k)\n"
        "m.open_session = loud\nimportlib.import_module(sys.argv[2])",
    )
    monkeypatch.setattr(child, "BOOTSTRAP", noise + told)
    worker = Worker(ONNXRUNTIME, None)
    assert len(worker.open(token_model(tmp_path / "a.onnx"), "cpu", 1).run(None, FEED)) == 1
    worker.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    import subprocess

    path = token_model(tmp_path / "a.onnx")
    code = (
        "import os, signal, sys; from pathlib import Path; from perf.sessions.worker import Worker\n"
        f"w = Worker('onnxruntime', None); w.open(Path({str(path)!r}), 'cpu', 1)\n"
        "print(w._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(child.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    end = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_who_is_in_this_process_and_who_is_not(tmp_path: Path) -> None:
    path = token_model(tmp_path / "a.onnx")
    near = Subject("near", path)
    far = Subject("far", path, python=Path(sys.executable))
    with Opener() as opener:
        here, there = opener.open(near, path, CPU, 1), opener.open(far, path, CPU, 1)
        assert not isinstance(here, WorkerSession)
        assert isinstance(there, WorkerSession)
        assert placement(near, here) == placement(far, there)
        assert describe(near, here) == describe(far, there)
        process = there._worker._handle
        again, more = opener.open(far, path, CPU, 1), opener.open(far, path, CPU, 2)
        assert isinstance(again, WorkerSession)
        assert isinstance(more, WorkerSession)
        assert again._worker is there._worker
        assert more._worker is not there._worker  # which may have one pool of threads for all of its sessions
    assert not process.is_running()
