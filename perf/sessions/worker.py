"""Worker: a child process that holds sessions, in this Python or in another environment's with conflicting packages.

A worker times its runs itself, so that communication is not counted. It is suspended between requests, so that its
spinning threads take no core from the model that is being timed.
"""

from __future__ import annotations

import pickle
import subprocess
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil

from perf.errors import PerfError, PerfUsageError
from perf.sessions.inputs import DeclaredInput
from perf.sessions.session import Placement, Timer
from perf.sessions.subprocess_module import command, death


class WorkerSession:
    """A session in a worker, with the methods of onnxruntime's."""

    def __init__(self, worker: Worker, path: Path, provider: str, threads: int, library: Path | None) -> None:
        self._worker = worker
        opened = worker.ask("open", str(path), provider, threads, None if library is None else str(library))
        self._number, self._inputs, outputs, self._placement, self._runtime = opened
        self._outputs = [DeclaredInput(name, "", ()) for name in outputs]
        weakref.finalize(self, worker.forget, self._number)

    def placement(self) -> Placement:
        """Returns the operators that a run executes, by who executes them."""
        return self._placement

    def describe(self) -> str:
        """Returns the runtime's name and version, and the settings that change the measurements."""
        return self._runtime

    def get_inputs(self) -> Sequence[DeclaredInput]:
        return self._inputs

    def get_outputs(self) -> Sequence[DeclaredInput]:
        return self._outputs

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> Sequence[Any]:
        return self._worker.ask("run", self._number, dict(feed))

    def timed_run(self, feed: Mapping[str, np.ndarray]) -> tuple[Sequence[Any], int]:
        """Returns the outputs of a run, and its time in ns, without that of sending arrays."""
        values, own_ns = self._worker.ask("timed_run", self._number, dict(feed))
        return values, own_ns

    def timer(self, feed: Mapping[str, np.ndarray]) -> Timer:
        index = self._worker.ask("hold", self._number, dict(feed))
        return lambda after_another: self._worker.ask("time", self._number, index, after_another)


class Worker:
    """A child process that opens and runs sessions of one runtime on request.

    Args:
        runtime: One of `perf.sessions.runtimes`.
        python: The Python of the environment with its packages; None for this one.
    """

    def __init__(self, runtime: str, python: Path | None) -> None:
        self._runtime = runtime
        self._closed: list[int] = []
        errors = tempfile.TemporaryFile()  # noqa: SIM115  # for as long as the process lives
        process = subprocess.Popen(
            command("perf.sessions.worker_process", runtime, python=python),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        self._process, self._errors = process, errors
        self._handle = psutil.Process(process.pid)
        self.close = weakref.finalize(self, _end, process, errors)
        """Kills the process."""

    def open(self, path: Path, provider: str, threads: int, library: Path | None = None) -> WorkerSession:
        """Loads a file. Raises what the runtime's `open_session` raises."""
        return WorkerSession(self, path, provider, threads, library)

    def forget(self, number: int) -> None:
        """Closes a session, together with the next request."""
        self._closed.append(number)

    def ask(self, request: str, *arguments: Any) -> Any:
        """Sends a request and returns the answer. Raises the process's PerfError, or one if it has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        closed, self._closed = self._closed, []
        try:
            self._handle.resume()
            pickle.dump((closed, request, arguments), self._process.stdin)
            self._process.stdin.flush()
            kind, answer = pickle.load(self._process.stdout)
            self._handle.suspend()
        except (EOFError, OSError, pickle.UnpicklingError, psutil.NoSuchProcess):
            raise PerfError(f"the process that runs {self._runtime} ended with {self._death()}") from None
        if kind == "answer":
            return answer
        raise (PerfUsageError if kind == "usage" else PerfError)(answer)

    def _death(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines() or ["no message"]
        return f"{death(self._process.poll())} ({lines[-1].strip()})"


def _end(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, errors):
        with suppress(OSError):  # buffered data that can no longer be written
            if stream is not None:
                stream.close()
